"""Policies on real decision points: real outcomes, real state files, and a tiny model."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest

from tests.integration.conftest import read_rows
from trainer.evaluation import EvaluationPlan, Generation, evaluate, generating
from trainer.evaluation.figures import Figures
from trainer.models.chat import prompt_text


def of_model(dataset: Path, model: Path, generation: Generation) -> Figures:
    """The figures of a model."""
    plan = EvaluationPlan(
        (dataset,), split="all", baselines=(), models=(str(model),), generation=generation
    )
    return evaluate(plan).policies[0].overall


def queues(row: dict[str, Any]) -> tuple[float, float]:
    """The stored queues after a yes and after a no, vehicles."""
    by_answer = {
        one["decision"]["extend"]: float(one["metrics"]["queue_veh"]) for one in row["outcomes"]
    }
    return by_answer[True], by_answer[False]


@pytest.mark.parametrize("scenario", ["crossing", "grid2x2"])
def test_baselines_agree_with_the_stored_outcomes(
    dataset_of: Callable[[str], Path], scenario: str
) -> None:
    """The oracle loses nothing; the constants lose what the rows say; the rules find all they need.

    Pressures are from the state files, which count the vehicles that the prompts do.
    """
    dataset = dataset_of(scenario)
    found = evaluate(EvaluationPlan((dataset,), split="all"))
    figures = {one.policy: one.overall for one in found.policies}
    assert len(figures) == 7
    pairs = [queues(row) for row in read_rows(dataset)]
    assert found.points == len(pairs)
    assert all(one.scored == len(pairs) for one in figures.values())

    regrets = {name: one.regret.value for name, one in figures.items() if one.regret}
    agreements = {name: one.agreement.value for name, one in figures.items() if one.agreement}
    assert (regrets["oracle"], agreements["oracle"]) == (0.0, 1.0)
    count = len(pairs)
    lost_by_yes = sum(yes - min(yes, no) for yes, no in pairs) / count
    assert regrets["always-yes"] == pytest.approx(lost_by_yes, abs=1e-12)
    assert regrets["always-yes"] + regrets["always-no"] == pytest.approx(
        sum(abs(yes - no) for yes, no in pairs) / count, abs=1e-12
    )
    ties = sum(yes == no for yes, no in pairs) / count
    assert agreements["always-yes"] + agreements["always-no"] == pytest.approx(1 + ties)
    assert 0 < regrets["random"] < max(regrets["always-yes"], regrets["always-no"])


class TestModel:
    """A random model whose vocabulary holds both answers."""

    def test_answers_greedily(self, dataset_of: Callable[[str], Path], tiny_llama: Path) -> None:
        """The same each time, in batches of any size; every answer is counted once."""
        dataset = dataset_of("crossing")
        count = len(read_rows(dataset))
        found = [
            of_model(dataset, tiny_llama, Generation(max_new_tokens=1, batch_size=size))
            for size in (3, 32, 32)
        ]
        assert found[0] == found[1] == found[2]
        assert found[0].answers == count
        assert found[0].scored + sum(found[0].invalid.values()) == count

    def test_samples(self, dataset_of: Callable[[str], Path], tiny_llama: Path) -> None:
        """Several answers per prompt; the seed decides which; some are valid and some are not."""
        dataset = dataset_of("crossing")

        def sampled(seed: int) -> Figures:
            generation = Generation(samples=16, temperature=1.0, max_new_tokens=1, seed=seed)
            return of_model(dataset, tiny_llama, generation)

        found = sampled(1)
        assert found.answers == 16 * found.points == 16 * len(read_rows(dataset))
        assert found.scored > 0
        assert found.invalid["no_json"] > 0
        assert found.scored + sum(found.invalid.values()) == found.answers
        assert found.strict is not None
        assert found.strict.value == found.scored / found.answers
        assert sampled(1) == found != sampled(2)

    def test_states_are_said_in_words(
        self, dataset_of: Callable[[str], Path], tiny_llama: Path
    ) -> None:
        """Where that is asked for."""
        with patch.object(generating, "prompt_text", side_effect=prompt_text) as watched:
            generation = Generation(max_new_tokens=1, prompt_form="words")
            of_model(dataset_of("crossing"), tiny_llama, generation)
        prompts = [call.args[1] for call in watched.call_args_list]
        assert prompts
        assert all(prompt[-1]["content"].startswith("Green now: ") for prompt in prompts)

    def test_examples_stand_before_the_question(
        self, dataset_of: Callable[[str], Path], tiny_llama: Path
    ) -> None:
        """Where that is asked for, two answered ones; the question stays the last message."""
        told = []
        for has_examples in (False, True):
            with patch.object(generating, "prompt_text", side_effect=prompt_text) as watched:
                generation = Generation(max_new_tokens=1, has_examples=has_examples)
                of_model(dataset_of("crossing"), tiny_llama, generation)
            prompts = [call.args[1] for call in watched.call_args_list]
            told.append({" ".join(message["role"] for message in prompt) for prompt in prompts})
        assert told == [{"system user"}, {"system user assistant user assistant user"}]

    def test_an_adapter_is_a_model(
        self, dataset_of: Callable[[str], Path], tiny_llama: Path, tmp_path: Path
    ) -> None:
        """One that changes nothing answers as the model that it is on top of."""
        from peft import LoraConfig, get_peft_model
        from transformers import AutoModelForCausalLM

        base = AutoModelForCausalLM.from_pretrained(tiny_llama)
        lora = LoraConfig(r=2, target_modules=["q_proj"], task_type="CAUSAL_LM")
        get_peft_model(base, lora).save_pretrained(tmp_path)
        description = json.loads((tmp_path / "adapter_config.json").read_text())
        assert description["base_model_name_or_path"] == str(tiny_llama)
        generation = Generation(16, 1.0, max_new_tokens=1)
        dataset = dataset_of("crossing")
        assert of_model(dataset, tmp_path, generation) == of_model(dataset, tiny_llama, generation)
