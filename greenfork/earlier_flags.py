"""Flags that users of the earlier scripts know, in today's words, each with a note of one line."""

from collections.abc import Callable, Mapping, Sequence

from greenfork.screen import say

__all__ = ["todays_arguments"]

_SETTINGS = (
    *("temperature", "num_generations", "save_steps", "logging_steps", "wandb_project"),
    *("gradient_accumulation_steps", "run_name", "wandb_entity"),
)
_GRPO = {
    "base-model": "--model-path",
    "data-root": "--dataset-path",
    "beta": "--set kl_coeff=",
    **{name.replace("_", "-"): f"--set {name}=" for name in _SETTINGS},
}
"""Flags with a value, by what is written today; after ``=`` comes the value."""
_SWITCHES = {
    "use-gradient-checkpointing": "--set gradient_checkpointing=true",
    "no-4bit": "--set load_in_4bit=false",
}
_TRAINS: Mapping[str, tuple[Mapping[str, str], Mapping[str, str]]] = {
    "grpo": (_GRPO, _SWITCHES),
    "offline": ({"base-model": "--sft-ckpt"}, {}),
}
"""Flags with a value and without, by the subcommand of ``train``."""


def todays_arguments(
    arguments: Sequence[str], note: Callable[[str], None] = lambda text: say(text, err=True)
) -> list[str]:
    """Arguments of the command line with today's flags.

    Every command takes its flags with underscores, too; ``greenfork train grpo`` and ``offline``
    know those of the earlier scripts.

    Args:
        arguments: As they were given. What follows ``--`` stays as it is.
        note: Says what a flag is today.

    >>> todays_arguments(["train", "grpo", "--beta", "0.1"], print)
    note: --beta 0.1 is --set kl_coeff=0.1 today
    ['train', 'grpo', '--set', 'kl_coeff=0.1']
    """
    values, switches = _known(arguments)
    found, rest = list[str](), list(arguments)
    while rest:
        given = rest.pop(0)
        if given == "--":
            return [*found, given, *rest]
        flag, equals, value = given.partition("=")
        name = flag.removeprefix("--").replace("_", "-")
        if not flag.startswith("--") or not name:
            found.append(given)
        elif name in switches and not equals:
            found += _told(given, switches[name], note)
        elif name in values and (equals or rest):
            said = value if equals else rest.pop(0)
            found += _told(f"{flag} {said}", _with_value(values[name], said), note)
        elif "_" in flag:
            note(f"note: {flag} is --{name} today")
            found.append(f"--{name}{equals}{value}")
        else:
            found.append(given)
    return found


def _known(arguments: Sequence[str]) -> tuple[Mapping[str, str], Mapping[str, str]]:
    """The earlier flags of the subcommand that is called."""
    words = [one for one in arguments if not one.startswith("-")]
    after = words[words.index("train") + 1 :] if "train" in words else []
    return _TRAINS.get(after[0], ({}, {})) if after else ({}, {})


def _with_value(today: str, value: str) -> list[str]:
    """``--flag value``, or ``--set name=value``; a value may hold blanks."""
    flag, _, setting = today.partition(" ")
    return [flag, f"{setting}{value}"] if setting else [flag, value]


def _told(given: str, today: str | list[str], note: Callable[[str], None]) -> list[str]:
    words = today.split(" ") if isinstance(today, str) else today
    note(f"note: {given} is {' '.join(words)} today")
    return words
