"""Reports in a browser: what is drawn is what the results say, whatever they are called."""

import json
from collections.abc import Callable, Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from greenfork.main import commands

HOSTILE = '<img src=x onerror="window.owned=1">'
NAMES = ("fixed", "greedy", HOSTILE)
EVALUATION = {
    "reward": "queue",
    "horizon_s": 60,
    "points": 12,
    "runs": 3,
    "level": 0.95,
    "policies": [
        {
            "policy": name,
            "overall": {
                "regret_veh_invalid_worst": {"value": place + 0.5, "low": place, "high": place + 1},
                "agreement_clear": {"value": 0.5, "low": 0.25, "high": 1.0},
            },
        }
        for place, name in enumerate(NAMES)
    ],
}
CONTROL = {
    "scenario": "crossing",
    "protocol": "resco",
    "controllers": [
        {
            "name": name,
            "delay_mean_s": 30.0 + place,
            "delay_half_width_s": 2.0,
            "curves": {
                "begin_s": 0,
                "step_s": 60,
                "seeds": 2,
                "queue_veh": {
                    "median": [place + minute % 7 for minute in range(60)],
                    "low": [place + minute % 7 - 1 for minute in range(60)],
                    "high": [place + minute % 7 + 1 for minute in range(60)],
                },
                "delay_s": [(place + 1) * twentieth for twentieth in range(21)],
            },
            "episodes": [{"seed": 1, "figures": {"delay_s": 30.0 + place}}],
        }
        for place, name in enumerate(NAMES)
    ],
}

Show = Callable[[str], Any]


@pytest.fixture
def show(chromium: Any, tmp_path: Path) -> Iterator[Show]:  # noqa: ANN401
    """Opens a report of an evaluation and of episodes, and finds no trouble in it afterwards."""
    for name, result in {"evaluation": EVALUATION, "control": CONTROL}.items():
        (tmp_path / f"{name}.json").write_text(json.dumps(result))
    out = tmp_path / "report.html"
    inputs = [str(tmp_path / f"{name}.json") for name in ("control", "evaluation")]
    done = CliRunner().invoke(commands, ["report", *inputs, "--out", str(out)])
    assert done.exit_code == 0, done.output
    troubles: list[str] = []
    asked: list[str] = []
    contexts = []

    def opened(scheme: str) -> Any:  # noqa: ANN401
        contexts.append(chromium.new_context(color_scheme=scheme))
        page = contexts[-1].new_page()
        page.on("pageerror", lambda error: troubles.append(str(error)))
        page.on("request", lambda request: asked.append(request.url))
        page.goto(out.as_uri())
        page.wait_for_selector("canvas.chart")
        return page

    yield opened
    for context in contexts:
        context.close()
    assert troubles == []
    assert set(asked) == {out.as_uri()}, "it needs nothing else"


def test_names_are_text(show: Show) -> None:
    """In legends, tables and intervals alike."""
    page = show("light")
    assert page.locator("main").inner_text().count(HOSTILE) >= 6
    assert page.locator("main img").count() == 0
    assert page.evaluate("window.owned") is None


def test_intervals_stand_where_they_are(show: Show) -> None:
    """A dot at the value, a line from the lower to the upper end, on one scale for all."""
    page = show("light")
    table = page.locator("section:has(h2:text-is('Regret, vehicles')) table.intervals")
    dots = [one.get_attribute("cx") for one in table.locator("circle").all()]
    assert [float(dot.removesuffix("%")) for dot in dots] == pytest.approx([50 / 3, 50, 250 / 3])
    lines = table.locator("line.span").all()
    ends = [float(lines[0].get_attribute(name).removesuffix("%")) for name in ("x1", "x2")]
    assert ends == pytest.approx([0, 100 / 3])
    assert "0.500 [0.000, 1.000]" in table.inner_text()


def test_curves_have_colours_of_their_own(show: Show) -> None:
    """Three controllers, three colours, in legend and curve."""
    page = show("light")
    colours = page.evaluate(
        """() => [...document.querySelectorAll('section:has(canvas) .swatch')].slice(0, 3)
        .map(one => getComputedStyle(one).backgroundColor)"""
    )
    assert len(set(colours)) == 3
    seen = page.evaluate(
        """() => { const canvas = document.querySelector('canvas.chart');
        const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
        const found = new Set();
        for (let i = 0; i < data.length; i += 4)
          if (data[i + 3] === 255) found.add(`rgb(${data[i]}, ${data[i + 1]}, ${data[i + 2]})`);
        return [...found]; }"""
    )
    assert set(colours) <= set(seen)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_accessible(show: Show, scheme: str) -> None:
    """axe-core finds nothing."""
    page = show(scheme)
    axe = (files("axe_playwright_python") / "axe.min.js").read_text()
    page.evaluate(axe)
    found = page.evaluate("axe.run(document)")
    said = [(one["id"], [node["html"] for node in one["nodes"]]) for one in found["violations"]]
    assert said == []
