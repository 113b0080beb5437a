"""What others wrote is shown as it is, and never obeyed."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.table import Table

from greenfork.output import print_error
from greenfork.screen import plain, say, screen

EVIL = "[bold red]a[/] [link=http://x]b :boom: \x1b[2J \x9b31m \u202eevil\u2066 \x07\x7f\x08"
SHOWN = (
    "[bold red]a[/] [link=http://x]b :boom: \\x1b[2J \\x9b31m \\u202eevil\\u2066 \\x07\\x7f\\x08"
)


@given(st.text())
def test_every_character_of_a_plain_text_can_be_seen(text: str) -> None:
    """Or is a line end or a tab; and what could be seen before is unchanged."""
    found = plain(text)
    assert all(char.isprintable() or char.isspace() or ord(char) > 0xFF for char in found)
    assert plain(found) == found
    if text.isascii() and text.isprintable():
        assert found == text


def test_tables_show_markup_and_controls(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """In cells, heads, titles and lines of their own."""
    monkeypatch.setenv("COLUMNS", "200")
    table = Table(EVIL, title=EVIL, caption=EVIL)
    table.add_row(EVIL)
    console = screen()
    console.print(table)
    console.print(EVIL)
    said = capsys.readouterr().out
    assert said.count(SHOWN) == 5
    assert "\x1b" not in said


def test_lines_and_errors_show_them_too(capsys: pytest.CaptureFixture[str]) -> None:
    """An error is one line, whatever its message holds."""
    say(EVIL)
    print_error(f"no state\n {EVIL}", "unknown_state", as_json=False)
    captured = capsys.readouterr()
    assert captured.out == SHOWN + "\n"
    assert captured.err == f"greenfork: no state {SHOWN} [unknown_state]\n"
