"""What the commands of ``greenfork train`` share."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from greenfork.output import print_json
from greenfork.screen import print_rows, say
from shared.errors import ConfigError

if TYPE_CHECKING:
    from shared.model import WireModel
    from trainer.models.loading import Hardware
    from trainer.settings import RunSettings

__all__ = [
    "AsJson",
    "Base",
    "DatasetPath",
    "DryRun",
    "Findings",
    "MaxSteps",
    "OutputDir",
    "Seed",
    "SetPairs",
    "hardware_found",
    "run_or_rehearse",
    "settings_of",
]

_Settings = TypeVar("_Settings", bound="RunSettings")
_Report = TypeVar("_Report", bound="WireModel")

Base = Annotated[
    str | None,
    typer.Option("--base", help="Base model of an adapter, if it has moved."),
]
DatasetPath = Annotated[
    str | None, typer.Option(help="A dataset folder, a file of rows, or a folder of them.")
]
OutputDir = Annotated[str | None, typer.Option(help="Where results are written.")]
MaxSteps = Annotated[int | None, typer.Option(help="Optimizer steps.")]
Seed = Annotated[int | None, typer.Option(help="Seed of the run.")]
SetPairs = Annotated[
    list[str] | None, typer.Option("--set", help="Any other setting, name=value; repeatable.")
]
DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Check everything, print the settings, and stop.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]


@dataclass(frozen=True)
class Findings:
    """What ``--dry-run`` found."""

    found: Mapping[str, object]
    """What there is, by name."""
    note: str
    """More for people: comment lines of YAML."""
    more: Mapping[str, object] = field(default_factory=dict)
    """More for machines."""


def settings_of(kind: type[_Settings], options: Mapping[str, Any], **more: object) -> _Settings:
    """The settings of a run: what the command line sets, over the file, over the defaults.

    Args:
        kind: The class of the settings.
        options: All options of the command; those that have the name of a setting set it, over
            those of ``--set``.
        **more: Settings that are no options.

    Raises:
        ConfigError: A value, or a pair of ``--set``, is wrong.
    """
    from trainer.settings import load_settings

    config, pairs = options["config"], options["settings"]
    named = {
        n: v for n, v in {**options, **more}.items() if n in kind.model_fields and v is not None
    }
    return load_settings(kind, config, _assignments(pairs or []) | named)


def run_or_rehearse(
    config: _Settings,
    options: Mapping[str, Any],
    rehearse: Callable[[_Settings], Findings],
    train: Callable[[_Settings], _Report],
    rows: Callable[[_Report], Iterable[tuple[str, str]]],
) -> None:
    """Trains and prints the report; or with ``--dry-run``, checks and prints the settings.

    Args:
        config: The settings.
        options: All options of the command.
        rehearse: Checks everything.
        train: Trains.
        rows: The report as names and values, for people.
    """
    from trainer.environment import is_first_rank, stay_offline

    as_json: bool = options["as_json"]
    if options["dry_run"]:
        stay_offline()
        _print_rehearsal(config, rehearse(config), as_json)
        return
    report = train(config)
    if is_first_rank():
        if as_json:
            print_json(report.model_dump(mode="json"))
        else:
            print_rows(config.output_dir, rows(report))


def hardware_found(hardware: "Hardware") -> dict[str, str]:
    """What a run would compute on, for people."""
    return {
        "device": hardware.device,
        "precision": "bf16" if hardware.is_bf16 else "fp32",
        "backend": hardware.backend,
    }


def _print_rehearsal(config: "RunSettings", rehearsal: Findings, as_json: bool) -> None:
    import yaml

    settings, found = config.to_dict(), rehearsal.found
    if as_json:
        print_json({"settings": settings, "found": found, **rehearsal.more})
        return
    say(yaml.safe_dump(settings, sort_keys=False).rstrip())
    say("# found: " + ", ".join(f"{name} {value}" for name, value in found.items()))
    say(rehearsal.note)


def _assignments(pairs: list[str]) -> dict[str, object]:
    """``name=value`` pairs, values read as YAML.

    Raises:
        ConfigError: A pair is none.
    """
    import yaml

    values: dict[str, object] = {}
    for pair in pairs:
        name, equals, text = pair.partition("=")
        if not equals or not name:
            raise ConfigError(f"--set {pair!r}: expected name=value")
        setting = name.strip().replace("-", "_")
        try:
            values[setting] = value = yaml.safe_load(text)
        except yaml.YAMLError as exc:
            raise ConfigError(f"--set {pair!r}: the value is not YAML") from exc
        is_grouped = setting == "reward" and isinstance(value, dict) and "api_key" in value
        if is_grouped or setting in ("reward_api_key", "reward.api_key"):
            raise ConfigError(
                "--set reward_api_key: the key would be visible in process lists and recorded by "
                "trackers; set GREENFORK_API_KEY instead"
            )
    return values
