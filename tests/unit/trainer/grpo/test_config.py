"""Settings: ranges, where values come from, and what is said about mistakes."""

import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from shared.errors import ConfigError
from shared.rewards import RewardSpec
from trainer import GRPOTrainingConfig, load_config
from trainer.settings_page import PAGE, settings_page

PHASE = {"until": 1.0, "easy": 1, "medium": 0, "hard": 0}
"""Of a curriculum."""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A file that sets two values."""
    path = tmp_path / "run.yaml"
    path.write_text("learning_rate: 2.0e-5\nmax_steps: 7\n")
    return path


def test_defaults_are_those_that_were_promised() -> None:
    """The hyperparameters of the requirements, value by value."""
    promised = {
        "learning_rate": 1e-5,
        "batch_size": 2,
        "gradient_accumulation_steps": 4,
        "num_generations": 4,
        "temperature": 0.9,
        "kl_coeff": 0.1,
        "max_new_tokens": 50,
        "top_p": 0.9,
        "repetition_penalty": 1.0,
        "num_train_epochs": 3,
        "warmup_steps": 10,
        "logging_steps": 5,
        "save_steps": 50,
        "optim": "adamw_8bit",
        "lora_rank": 32,
        "lora_alpha": 64,
        "format_weight": 1.0,
        "tsc_weight": 1.0,
        "extend_seconds": 5,
    }
    assert promised.items() <= GRPOTrainingConfig().to_dict().items()


def test_command_line_over_file_over_defaults(file: Path) -> None:
    """Each value comes from the nearest place that sets it; None sets nothing."""
    config = load_config(file, {"max_steps": 9, "seed": None})
    assert (config.max_steps, config.learning_rate, config.seed) == (9, 2e-5, 42)


def test_curriculum_of_ones_own(tmp_path: Path) -> None:
    """A file replaces the whole schedule, and what is written down is read back."""
    path = tmp_path / "run.yaml"
    path.write_text(
        "curriculum: true\ncurriculum_schedule:\n"
        "  - {until: 0.5, easy: 1, medium: 0, hard: 0}\n"
        "  - {until: 1.0, easy: 0, medium: 1, hard: 1}\n"
    )
    config = load_config(path)
    assert [phase.weights["hard"] for phase in config.curriculum_schedule] == [0, 0.5]
    path.write_text(yaml.safe_dump(config.to_dict()))
    assert load_config(path) == config


def test_file_round_trip(tmp_path: Path) -> None:
    """What ``to_dict`` gives, ``from_yaml`` reads back."""
    config = GRPOTrainingConfig(dataset_path="rows", max_steps=3)
    path = tmp_path / "config.yaml"
    path.write_text(yaml.safe_dump(config.to_dict()))
    assert GRPOTrainingConfig.from_yaml(path) == config


def test_secret_is_not_written_down() -> None:
    """The key of the service is neither in the dictionary nor in the text."""
    config = GRPOTrainingConfig(reward_api_key="s3cret")
    assert "s3cret" not in f"{config.to_dict()} {config!r}"


@pytest.mark.parametrize("preset", ["cpu-demo", "gpu-transformers", "gpu", "multi-gpu"])
def test_presets_validate(preset: str) -> None:
    """A preset is named without its folder."""
    assert load_config(preset).output_dir == f"runs/{preset}"


@pytest.mark.parametrize(
    ("name", "near"),
    [("learning_rat", "learning_rate"), ("numgenerations", "num_generations"), ("lr", None)],
)
def test_unknown_name_is_answered_with_the_nearest(name: str, near: str | None) -> None:
    """A misspelt setting is refused, with a proposal where there is one."""
    with pytest.raises(ConfigError, match=f"no setting '{name}'") as caught:
        load_config(overrides={name: 1})
    assert (f"did you mean '{near}'" in caught.value.message) == (near is not None)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("learning_rate", 0),
        ("learning_rate", float("nan")),
        ("num_generations", 1),
        ("temperature", 0),
        ("top_p", 1.5),
        ("failed_share_limit", 1.0),
        ("invalid_reward", 1.0),
        ("lora_rank", -1),
        ("max_steps", 0),
        ("report_to", "fax"),
        ("reward_name", "speed_of_light"),
    ],
)
def test_out_of_range(name: str, value: object) -> None:
    """The message names the setting and what was given."""
    with pytest.raises(ConfigError, match=rf"{name}: .*got"):
        load_config(overrides={name: value})


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"batch_size": 3, "gradient_accumulation_steps": 1}, r"num_generations \(4\); .* of 4 is"),
        ({"batch_size": 5, "gradient_accumulation_steps": 2}, "a batch_size of 4 or 6 is"),
        ({"format_weight": 0, "tsc_weight": 0}, "nothing to learn"),
        ({"reward_name": "sum"}, "reward_terms and reward_name: sum need each other"),
        ({"reward_terms": {"queue": 1}}, "reward_terms and reward_name: sum"),
        ({"reward_seeds": [3, 3]}, "^reward_seeds contains a number twice"),
        ({"max_new_tokens": 64, "max_seq_length": 64}, "smaller than max_seq_length"),
        ({"adaptive_kl": True, "kl_coeff": 0}, "begin between .*0.001.* it is 0"),
        ({"adaptive_kl": True, "kl_coeff": 11}, "begin between .*10.0.* it is 11"),
        ({"save_steps": 5, "num_iterations": 2}, r"save_steps \(5\) .*multiple of num_iterations"),
        ({"curriculum": True, "num_iterations": 2}, "curriculum .*num_iterations: 1"),
        ({"use_vllm": True, "vllm_mode": "server"}, "needs backend: transformers"),
        ({"kl_low": 0.2, "kl_high": 0.1}, "kl_low .*smaller than kl_high"),
        ({"kl_coeff_min": 2, "kl_coeff_max": 1}, "kl_coeff_min .* at most kl_coeff_max"),
        ({"curriculum_schedule": []}, "until: 1.0"),
        ({"curriculum_schedule": [PHASE | {"until": 0.5}]}, "until: 1.0"),
        ({"curriculum_schedule": [PHASE, PHASE]}, "one after the other"),
        ({"curriculum_schedule": [PHASE | {"easy": 0}]}, "curriculum_schedule.0: easy.* all 0"),
        ({"curriculum_schedule": [PHASE | {"esay": 1}]}, "'curriculum_schedule.0.esay'; .*'easy'"),
        ({"curriculum_schedule": [PHASE | {"hard": -1}]}, "curriculum_schedule.0.hard: .*got -1"),
    ],
)
def test_values_that_do_not_go_together(values: dict[str, object], message: str) -> None:
    """What is wrong only in combination is said as a sentence."""
    with pytest.raises(ConfigError, match=message):
        load_config(overrides=values)


def test_the_service_is_asked_for_the_whole_reward() -> None:
    """Nothing that is set is left out."""
    terms = {"reward_name": "sum", "reward_terms": {"queue": 1, "speed": 0.5}}
    more = {"follow_up": "max_pressure", "reward_seeds": [3, 4], "horizon_s": 30}
    asked = load_config(overrides=terms | more | {"invalid_reward": -7}).reward
    assert asked == RewardSpec(
        name="sum",
        terms={"queue": 1, "speed": 0.5},
        horizon_s=30,
        invalid_reward=-7,
        follow_up="max_pressure",
        seeds=(3, 4),
    )


def test_a_users_own_metric_can_be_trained_on() -> None:
    """Alone or as a term; the service knows whether a package adds it."""
    alone = load_config(overrides={"reward_name": "custom.co2_mg"}).reward
    assert alone.name == "custom.co2_mg"
    terms = {"queue_gain": 1, "custom.co2_mg": -0.01}
    asked = load_config(overrides={"reward_name": "sum", "reward_terms": terms}).reward
    assert asked.terms == terms
    with pytest.raises(ConfigError):
        load_config(overrides={"reward_name": "co2_mg"})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: [", "not YAML"),
        ("- seed\n", "must contain settings"),
        ("seed: 1\nseed: 2\n", "seed is given more than once"),
        ("seed: one\n", "seed: "),
    ],
)
def test_file_that_is_none(tmp_path: Path, text: str, message: str) -> None:
    """Every way a file can be wrong is a configuration error."""
    path = tmp_path / "run.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=message):
        GRPOTrainingConfig.from_yaml(path)


def test_file_that_does_not_exist() -> None:
    """The path is in the message."""
    with pytest.raises(ConfigError, match=r"cannot read the configuration nowhere\.yaml"):
        load_config("nowhere.yaml")


def test_empty_file_is_the_defaults(tmp_path: Path) -> None:
    """A file with comments only sets nothing."""
    path = tmp_path / "run.yaml"
    path.write_text("# nothing\n")
    assert load_config(path) == GRPOTrainingConfig()


def test_every_setting_is_described() -> None:
    """Each field has a sentence under it."""
    fields = GRPOTrainingConfig.model_fields
    assert [name for name, field in fields.items() if not field.description] == []


def test_importing_the_package_is_light() -> None:
    """Neither torch nor TRL is imported before something needs it."""
    code = "import sys, trainer; print({'torch', 'trl', 'datasets'} & sys.modules.keys())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_every_setting_stands_in_the_documentation() -> None:
    """The page is what the classes say; ``python -m trainer.settings_page`` writes it."""
    assert PAGE.read_text(encoding="utf-8") == settings_page()


def test_page_tells_ranges_and_choices() -> None:
    """Of every kind of setting: numbers, choices, what may be null, and settings inside others."""
    rows = {
        line.split("|")[1].strip(): line for line in settings_page().splitlines() if "|" in line
    }
    assert "| number > 0, < 1 |" in rows["`epsilon`"]
    assert "whole number ≥ 1; `null` |" in rows["`max_steps`"]
    assert "| `dapo` | `grpo`, `dr_grpo`, `dapo`," in rows["`loss_type`"]
    assert "| `true` | `true`, `false` |" in rows["`save_merged`"]
    assert "| required | number > 0, ≤ 1 |" in rows["`until`"]


def test_examples_in_json_do_not_stand_before_words() -> None:
    """They would show another task."""
    with pytest.raises(ConfigError, match="set prompt_form: json"):
        load_config(None, {"prompt_examples": True, "prompt_form": "words"})


def test_settings_may_stand_in_groups(tmp_path: Path) -> None:
    """In a file, by path, and flat; the command line wins over the file in any of these forms."""
    path = tmp_path / "run.yaml"
    path.write_text(
        "reward: {horizon_s: 30, url: 'http://a:1'}\nhealth:\n  kl: 2.0\nkl_coeff: 0.3\n"
    )
    given = {"horizon_s": 90, "vllm.use": True, "kl": {"adaptive": True}, "model.path": "here"}
    flat = {"horizon_s": 90, "use_vllm": True, "adaptive_kl": True, "model_path": "here"}
    flat |= {"reward_url": "http://a:1", "health_kl": 2.0, "kl_coeff": 0.3}
    assert load_config(path, given) == GRPOTrainingConfig.checked(flat)


def test_every_path_is_of_a_setting_and_of_one_only() -> None:
    """A group that named a setting that is gone would be read and refused."""
    names = list(GRPOTrainingConfig.paths().values())
    assert len(names) == len(set(names)) == sum(map(len, GRPOTrainingConfig.groups.values()))
    assert set(names) <= GRPOTrainingConfig.model_fields.keys()
    assert not GRPOTrainingConfig.groups.keys() & GRPOTrainingConfig.model_fields.keys()


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (
            {"reward": {"horizon": 3}},
            "no setting 'reward.horizon'; did you mean 'reward.horizon_s'",
        ),
        ({"reward": {"horizon_s": 3}, "horizon_s": 4}, "horizon_s is set twice"),
        ({"reward": {"horizon_s": 0}}, "horizon_s: .*got 0"),
        ({"reward": 3}, "no setting 'reward'"),
    ],
)
def test_mistakes_in_groups(values: dict[str, object], message: str) -> None:
    """As those in flat names."""
    with pytest.raises(ConfigError, match=message):
        load_config(overrides=values)


def test_config_of_an_earlier_version_is_read() -> None:
    """Every setting of it, as the version before groups wrote it; and a resumed run is the same."""
    file = Path(__file__).with_name("config_of_ee4e92a.yaml")
    written = yaml.safe_load(file.read_text())
    now = load_config(file).to_dict()
    assert {name: now[name] for name in written} == written
