"""What the commands of ``greenfork train`` share."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated

import typer

from greenfork.screen import say

if TYPE_CHECKING:
    from trainer.models.loading import Hardware
    from trainer.settings import Settings

__all__ = [
    "AsJson",
    "Base",
    "DatasetPath",
    "DryRun",
    "MaxSteps",
    "OutputDir",
    "Seed",
    "SetPairs",
    "chosen",
    "hardware_found",
    "print_checked",
]

Base = Annotated[
    str | None,
    typer.Option(help="The model under an adapter, if it is not where it was any more."),
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


def chosen(named: Mapping[str, object], pairs: list[str] | None) -> dict[str, object]:
    """What the command line sets: options of their own, over those of ``--set``.

    Args:
        named: The options by the name of their setting; None was not given.
        pairs: ``name=value``, each of ``--set``.

    Raises:
        ConfigError: A pair is none.
    """
    given = {name: value for name, value in named.items() if value is not None}
    return _assignments(pairs or []) | given


def hardware_found(hardware: "Hardware") -> dict[str, str]:
    """What a run would compute on, for people."""
    return {
        "device": hardware.device,
        "precision": "bf16" if hardware.is_bf16 else "fp32",
        "backend": hardware.backend,
    }


def print_checked(
    config: "Settings", found: Mapping[str, object], as_json: bool, **more: object
) -> None:
    """What ``--dry-run`` says: all settings, and what was found.

    Args:
        config: The settings.
        found: What there is, by name.
        as_json: Whether for machines.
        **more: Only for machines.
    """
    from greenfork.output import print_json

    if as_json:
        print_json({"settings": config.to_dict(), "found": found, **more})
        return
    import yaml

    say(yaml.safe_dump(config.to_dict(), sort_keys=False).rstrip())
    say("# found: " + ", ".join(f"{name} {value}" for name, value in found.items()))


def _assignments(pairs: list[str]) -> dict[str, object]:
    """``name=value`` pairs, values read as YAML.

    Raises:
        ConfigError: A pair is none.
    """
    import yaml

    from shared.errors import ConfigError

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
                "--set reward_api_key: whoever lists processes would see the key, and trackers "
                "record the command; give it by GREENFORK_API_KEY"
            )
    return values
