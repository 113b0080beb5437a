"""Packages whose names are imported when they are first used."""

from collections.abc import Callable, Mapping
from importlib import import_module

__all__ = ["lazy_names"]


def lazy_names(package: str, homes: Mapping[str, str]) -> Callable[[str], object]:
    """The ``__getattr__`` of a package that imports some of its names on first use.

    Args:
        package: The package, for the error of a name that does not exist.
        homes: The module in which each name is defined.

    >>> from trainer.lazy import lazy_names
    >>> lazy_names("here", {"sqrt": "math"})("sqrt")
    <built-in function sqrt>
    """

    def found(name: str) -> object:
        if name not in homes:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        value: object = getattr(import_module(homes[name]), name)
        return value

    return found
