"""How the program logs: for people at a terminal, as JSON lines elsewhere. Nobody else decides."""

import logging
import re
import sys

import structlog
from pydantic_core import to_json

from greenfork.screen import plain

__all__ = ["configure_logs"]

_OBEYED = re.compile("[\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]")
"""What JSON lets stand, and a terminal that shows the file obeys."""


def _in_view(
    _logger: object, _method: str, event: structlog.typing.EventDict
) -> structlog.typing.EventDict:
    """What others wrote, in characters that a terminal shows."""
    return {name: plain(said) if isinstance(said, str) else said for name, said in event.items()}


def _json(event: object, **_: object) -> str:
    """Several times as fast as the standard library, for lines that are written by the thousand."""
    text = to_json(event, fallback=str).decode()
    return _OBEYED.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def configure_logs(level: str) -> None:
    """Sends structlog's events to stderr.

    Args:
        level: ``debug``, ``info``, ``warning`` or ``error``.
    """
    is_terminal = sys.stderr.isatty()
    renderers: list[structlog.typing.Processor] = (
        [_in_view, structlog.dev.ConsoleRenderer()]
        if is_terminal
        else [structlog.processors.dict_tracebacks, structlog.processors.JSONRenderer(_json)]
    )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            *renderers,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level]),
        # Looked up anew for each line: whoever has replaced stderr meanwhile may have closed it.
        logger_factory=lambda *_: structlog.PrintLogger(sys.stderr),
    )
