"""A report as one file: styles, code and data together, opened without a server or a network."""

import json
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from html import escape

__all__ = [
    "Chart",
    "Curve",
    "Interval",
    "Intervals",
    "Sample",
    "Section",
    "Table",
    "page_of",
]

_MODULES = ("dom.js", "words.js", "chart.js", "report.js")
_IMPORT = re.compile(r"^import [^;]*;$", re.MULTILINE)
_EXPORT = re.compile(r"^export ", re.MULTILINE)
_POLICY = (
    "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; base-uri 'none'; "
    "form-action 'none'"
)
_START = (
    'showReport(document.querySelector("main"), '
    'JSON.parse(document.getElementById("data").textContent));'
)


@dataclass(frozen=True)
class Curve:
    """Values at equal distances; None where there is none."""

    name: str
    values: Sequence[float | None]
    low: Sequence[float] = ()
    """Where there are as many, the lower edge of a band around them."""
    high: Sequence[float] = ()
    """Its upper edge."""


@dataclass(frozen=True)
class Chart:
    """Curves over the same steps."""

    title: str
    series: Sequence[Curve]
    begin: float = 0
    """Where the first value stands."""
    step: float = 1
    """From one value to the next."""
    note: str = ""


@dataclass(frozen=True)
class Interval:
    """A value, and the interval that it is in."""

    name: str
    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Intervals:
    """Values beside each other, each a dot in its interval."""

    title: str
    rows: Sequence[Interval]
    note: str = ""


@dataclass(frozen=True)
class Table:
    """Rows of texts; numbers stand to the right."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    numbers_from: int = 1
    """The first column of numbers."""
    is_folded: bool = False
    """Shown only when it is opened."""


@dataclass(frozen=True)
class Sample:
    """A prompt, what a model answered, and what became of it."""

    step: int
    prompt: Sequence[dict[str, str]]
    """Messages with ``role`` and ``content``."""
    answer: str
    status: str
    reward: float | None


@dataclass(frozen=True)
class Section:
    """What is told of one run or result."""

    title: str
    note: str = ""
    figures: Sequence[tuple[str, str]] = ()
    charts: Sequence[Chart] = ()
    tables: Sequence[Table] = ()
    samples: Sequence[Sample] = field(default=())
    intervals: Sequence[Intervals] = ()


def page_of(title: str, made: str, sections: Sequence[Section]) -> str:
    """The file.

    Args:
        title: What it is about.
        made: When and by what it was made.
        sections: In this order. Whatever texts they hold, they are shown as texts.
    """
    told = {"title": title, "made": made, "sections": [asdict(one) for one in sections]}
    # Nothing in the data can end the element that it stands in: it holds no "<".
    data = json.dumps(told, allow_nan=False).replace("<", "\\u003c")
    code = "\n".join(_EXPORT.sub("", _IMPORT.sub("", _asset(name))) for name in _MODULES)
    lines = [
        "<!doctype html>",
        '<html lang="en"><head><meta charset="utf-8">',
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        '<meta name="color-scheme" content="light dark">',
        f"<title>{escape(title)}</title>",
        f"<style>{_asset('style.css')}</style></head><body><main></main>",
        f'<script type="application/json" id="data">{data}</script>',
        f'<script type="module">{code}\n{_START}</script></body></html>',
    ]
    return "\n".join(lines) + "\n"


def _asset(name: str) -> str:
    """One of the page's own files."""
    from importlib.resources import files

    return (files("reward_server.page") / "static" / name).read_text(encoding="utf-8")
