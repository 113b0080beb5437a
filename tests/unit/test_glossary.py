"""The glossary stays a page that can be read in a minute."""

import re
from pathlib import Path

GLOSSARY = (Path(__file__).parents[2] / "docs" / "glossary.md").read_text()


def test_thirty_words_of_one_line_each_in_order() -> None:
    """More than that nobody learns before reading code."""
    rows = re.findall(r"^\| ([^|]+) \| ([^|]+) \|$", GLOSSARY, re.MULTILINE)
    words = [word for word, _ in rows if word not in {"word", "---"}]
    assert 20 <= len(words) <= 30
    assert words == sorted(words)
