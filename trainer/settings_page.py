"""``python -m trainer.settings_page``: generates ``docs/settings.md`` from the settings classes.

Names, defaults, ranges and descriptions are defined only in the classes; a test compares the page.
"""

import json
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from types import NoneType
from typing import Any, Literal, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from trainer.settings import RunSettings, Settings, types_in

__all__ = ["KINDS", "PAGE", "settings_page"]

PAGE = Path(__file__).parents[1] / "docs" / "settings.md"

KINDS = {
    "greenfork train grpo": "trainer.grpo.config:GRPOTrainingConfig",
    "greenfork train sft": "trainer.sft.config:SFTTrainingConfig",
    "greenfork train offline": "trainer.offline.config:OfflineConfig",
    "greenfork train offline --policy pointer": "trainer.pointer.config:PointerConfig",
}
"""The settings of each command."""

_HEAD = """# Settings of training runs

Generated from the classes by `python -m trainer.settings_page`; do not edit. The command line (an
option, or `--set name=value`) overrides the `--config` file, and the file overrides the defaults.
Unknown names and values out of range are refused before anything is loaded.
"""
_MODEL = "Model and run, for all commands"
_GROUPS = (
    "Related settings can be written as a group: `reward: {horizon_s: 60}` in a file, or "
    "`--set reward.horizon_s=60`. Both names are equivalent; `config.yaml` has the flat ones:"
)
_NUMBERS = {"ge": "≥", "gt": ">", "le": "≤", "lt": "<"}


def settings_page() -> str:
    """The page, as Markdown."""
    parts, before = [_HEAD, _section(_MODEL, RunSettings, None)], list[type[Settings]]()
    for command, place in KINDS.items():
        module, _, name = place.partition(":")
        kind: type[Settings] = getattr(import_module(module), name)
        base = next((one for one in before if issubclass(kind, one)), RunSettings)
        parts.append(_section(f"`{command}`", kind, base))
        before.append(kind)
    return "\n".join(parts)


def _section(title: str, kind: type[Settings], base: type[Settings] | None) -> str:
    """One class as a table; settings of its base are listed only if they differ."""
    lines = [f"## {title}", "", "| setting | default | values | |", "|---|---|---|---|"]
    for name, field in kind.model_fields.items():
        inherited = None if base is None else base.model_fields.get(name)
        if inherited is None or not _says_the_same(inherited, field):
            lines.append(_row(name, field))
    for name, inner in _nested(kind):
        lines += ["", f"Each `{name}`:", "", "| | default | values | |", "|---|---|---|---|"]
        lines += [_row(part, field) for part, field in inner.model_fields.items()]
    return "\n".join(lines + _groups(kind)) + "\n"


def _groups(kind: type[Settings]) -> list[str]:
    """The names of grouped settings."""
    if not kind.groups:
        return []
    lines = ["", _GROUPS, "", "| in a group | the same as |", "|---|---|"]
    return lines + [f"| `{path}` | `{name}` |" for path, name in kind.paths().items()]


def _says_the_same(one: FieldInfo, other: FieldInfo) -> bool:
    return (one.default, one.description) == (other.default, other.description)


def _row(name: str, field: FieldInfo) -> str:
    description = " ".join((field.description or "").split()).replace("``", "`")
    return f"| `{name}` | {_default(field)} | {_values(field)} | {description} |"


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    value = field.get_default(call_default_factory=True)
    if isinstance(value, BaseModel):
        return "see below"
    if isinstance(value, tuple) and value and isinstance(value[0], BaseModel):
        return "see below"
    return f"`{value}`" if value and isinstance(value, str) else f"`{json.dumps(value)}`"


def _values(field: FieldInfo) -> str:
    """The range or the choices."""
    bounds = [
        f"{sign} {value}"
        for rule in field.metadata
        for name, sign in _NUMBERS.items()
        if (value := getattr(rule, name, None)) is not None
    ]
    kinds = list(dict.fromkeys(kind for kind in _kinds(field.annotation) if kind != "`null`"))
    said = f"{', '.join(kinds)} {', '.join(bounds)}".strip()
    is_optional = NoneType in get_args(field.annotation)
    return f"{said}; `null`" if is_optional else said


def _kinds(annotation: Any) -> Iterator[str]:  # noqa: ANN401 - whatever an annotation is
    """The permitted types, in words."""
    if get_origin(annotation) is Literal:
        yield from (f"`{value}`" for value in get_args(annotation))
    elif annotation in (NoneType, None):
        yield "`null`"
    elif get_origin(annotation) in (tuple, list):
        yield "a list"
    elif get_origin(annotation) is not None or get_args(annotation):
        for part in get_args(annotation):
            yield from _kinds(part)
    elif isinstance(annotation, type):
        yield _WORDS.get(annotation, "a table")


_WORDS: dict[type, str] = {
    bool: "`true`, `false`",
    int: "whole number",
    float: "number",
    str: "text",
}


def _nested(kind: type[BaseModel]) -> Iterator[tuple[str, type[BaseModel]]]:
    """The settings that are nested classes, with those classes."""
    for name, field in kind.model_fields.items():
        for inner in types_in(field.annotation):
            if issubclass(inner, BaseModel):
                yield name, inner


if __name__ == "__main__":
    PAGE.write_text(settings_page(), encoding="utf-8")
