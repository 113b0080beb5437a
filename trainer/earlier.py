"""Names that users of the earlier scripts know, and the one line that says what they are today."""

from collections.abc import Mapping

import structlog

__all__ = ["note_earlier", "todays"]

_log = structlog.get_logger(__name__)
_noted: set[tuple[str, str]] = set()


def note_earlier(name: str, today: str) -> None:
    """Says once a process what an earlier name is today.

    Args:
        name: The earlier name.
        today: Today's name, or what became of it.
    """
    if (name, today) not in _noted:
        _noted.add((name, today))
        _log.info("an earlier name is understood", name=name, today=today)


def todays(name: str, earlier: Mapping[str, str]) -> str:
    """Today's name of a setting, with a note where it was another.

    >>> todays("seed", {"kl_beta": "kl_coeff"})
    'seed'
    """
    today = earlier.get(name)
    if today is None:
        return name
    note_earlier(name, today)
    return today
