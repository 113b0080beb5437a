"""The examples of docs/clients.md."""

import re
from pathlib import Path

__all__ = ["block"]

PAGE = (Path(__file__).parents[2] / "docs" / "clients.md").read_text()


def block(language: str, name: str) -> str:
    """A named example."""
    (found,) = re.findall(rf"^```{language} {name}\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
    return str(found)
