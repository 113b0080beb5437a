"""What people read: text that others wrote is shown, and never obeyed.

Ids, names and messages come out of foreign scenarios, datasets and services. A terminal would take
control characters in them for commands, and Rich would take square brackets for its markup.
"""

import re
import sys
from collections.abc import Iterable
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

__all__ = ["figure", "one_line", "plain", "print_rows", "say", "screen"]

_OBEYED = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f"  # all that moves a cursor or begins a sequence
    "\u00ad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"  # invisible, or turns
    "\ud800-\udfff\U000e0000-\U000e007f]"  # no characters at all; and tags
)


def plain(text: str) -> str:
    r"""A text in which every character can be seen; line ends and tabs stay.

    >>> plain("\x1b[31mred\u202e")
    '\\x1b[31mred\\u202e'
    """
    return _OBEYED.sub(_spelled, text)


def _spelled(match: re.Match[str]) -> str:
    code = ord(match[0])
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def one_line(text: str) -> str:
    r"""A text on one line, in characters that can be seen.

    >>> one_line("a\n  b")
    'a b'
    """
    return plain(" ".join(text.split()))


def figure(value: float | None, form: str, unit: str = "") -> str:
    """A number in a form of Python's, with its unit; a dash where there is none.

    >>> figure(0.5, ".0%", " of the time"), figure(None, ".3f")
    ('50% of the time', '-')
    """
    return "-" if value is None else f"{value:{form}}{unit}"


def say(text: str, err: bool = False) -> None:
    """Prints a text that others may have a part in."""
    stream = sys.stderr if err else sys.stdout
    stream.write(plain(text) + "\n")
    stream.flush()


def screen(stderr: bool = False, markup: bool = False) -> Console:
    """A console for tables and bars.

    Args:
        stderr: Whether on standard error.
        markup: Whether square brackets are Rich's markup: for texts of our own only. What others
            wrote is to be escaped then.
    """
    return _PlainConsole(stderr=stderr, markup=markup, emoji=False, highlight=False)


def print_rows(title: str, rows: Iterable[tuple[str, str]]) -> None:
    """Prints names and what they stand for as a table."""
    table = Table(title=title, show_header=False, title_justify="left")
    for row in rows:
        table.add_row(*row)
    screen().print(table)


class _PlainConsole(Console):
    """All strings, also those in the cells of tables, go through :func:`plain`."""

    def render_str(self, text: str, **options: Any) -> Text:  # noqa: ANN401 - as Rich has it
        return super().render_str(plain(text), **options)
