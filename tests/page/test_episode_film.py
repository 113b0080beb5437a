"""An episode second by second: vehicles, signals and queues are those of its trace."""

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from tests.page.conftest import Looker
from tests.page.playing import END_S

Look = Callable[..., Looker]
HALTED, MOVING = "#9c2f24", "#2c4a6b"
BEGIN_S = {"crossing": 0.0, "cologne8": 25_200.0}
SECOND = 217


def _open(looker: Looker, episode_id: str, second: int = SECOND, query: str = "") -> None:
    """Goes to a second of an episode, and waits for its vehicles."""
    looker.open(f"#/episode/{episode_id}{query}")
    looker.page.wait_for_selector("tbody tr")
    looker.seek(second)
    looker.page.wait_for_function(
        "() => [...document.querySelectorAll('.count')]"
        ".every(one => one.innerText.includes('vehicles'))",
        timeout=60_000,
    )


def _trace(looker: Looker, episode_id: str, time_s: float) -> dict[str, Any]:
    """What the API tells of a second; the next one is there because a part has two ends."""
    query = f"from_s={time_s}&to_s={time_s + 1}"
    found: dict[str, Any] = looker.service.get(f"/v1/episodes/{episode_id}/trace?{query}")
    return found


def _standing(trace: dict[str, Any]) -> dict[str, int]:
    """Standing vehicles by lane, in the first second."""
    pairs = trace["queues"][0]
    return {trace["lanes"][pairs[i]]: pairs[i + 1] for i in range(0, len(pairs), 2)}


def _drawing(looker: Looker) -> Any:  # noqa: ANN401
    """What is shown, as an SVG."""
    with looker.page.expect_download() as saved:
        looker.page.get_by_role("button", name="SVG", exact=True).click()
    return ElementTree.parse(saved.value.path()).getroot()  # noqa: S314  the page has drawn it


def _vehicles(root: Any) -> list[tuple[str, str]]:  # noqa: ANN401
    """Where each vehicle of a drawing is, and its colour."""
    found = [(one.get("transform"), one.get("fill")) for one in root.findall(".//{*}rect")]
    return sorted((place, fill) for place, fill in found if place and "rotate" in place)


@pytest.mark.parametrize("scenario", END_S)
def test_vehicles_of_a_second(look: Look, episodes: dict[str, list[str]], scenario: str) -> None:
    """Each is drawn where the trace has it, in the colour of those that stand or move."""
    looker = look()
    first, _ = episodes[scenario]
    _open(looker, first)
    trace = _trace(looker, first, BEGIN_S[scenario] + SECOND)
    frame = trace["frames"][0]
    standing = sum(_standing(trace).values())
    assert f"{len(frame) // 5} vehicles · {standing} queueing" in looker.texts(".count")[0]
    wanted = []
    for i in range(0, len(frame), 5):
        _, x, y, angle, speed_dm = frame[i : i + 5]
        place = f"translate({_js(x / 10)} {_js(y / 10)}) rotate({_js(-angle)})"
        wanted.append((place, HALTED if speed_dm < 1 else MOVING))
    assert len(wanted) > 10
    assert _vehicles(_drawing(looker)) == sorted(wanted)


def _js(value: float) -> str:
    """A number as JavaScript writes it."""
    rounded = round(value, 2)
    return str(int(rounded)) if rounded == int(rounded) else str(rounded)


def test_lanes_are_coloured_by_queue(look: Look, episodes: dict[str, list[str]]) -> None:
    """From afar, exactly the lanes on which vehicles stand; the fuller, the stronger."""
    looker = look()
    first, _ = episodes["cologne8"]
    _open(looker, first)
    standing = _standing(_trace(looker, first, BEGIN_S["cologne8"] + SECOND))
    scenario_id = looker.service.state("cologne8")["scenario_id"]
    lanes = looker.service.get(f"/v1/scenarios/{scenario_id}/geometry")["lanes"]
    length_m = {lane["id"]: _length_m(lane["points"]) for lane in lanes}
    shares = {
        lane: 0.25 + 0.75 * min(1, vehicles * 7.5 / max(length_m[lane], 7.5))
        for lane, vehicles in standing.items()
    }
    drawn = [
        float(path.get("opacity")) for path in _drawing(looker).findall(".//{*}path[@class='load']")
    ]
    assert len(drawn) > 2
    assert sorted(drawn) == pytest.approx(sorted(shares.values()), abs=0.006)


def _length_m(points: list[float]) -> float:
    return sum(
        math.hypot(points[i] - points[i - 2], points[i + 1] - points[i - 1])
        for i in range(2, len(points), 2)
    )


def test_one_signal_from_near(look: Look, episodes: dict[str, list[str]]) -> None:
    """A junction is chosen; then queues are bars before its stop lines."""
    looker = look()
    first, _ = episodes["cologne8"]
    _open(looker, first)
    choice = looker.page.locator("label:has-text('Show') select")
    signals = [one for one in choice.locator("option").all_inner_texts() if one != "the network"]
    assert len(signals) == 8
    choice.select_option(signals[0])
    looker.seek(SECOND)
    assert _drawing(looker).findall(".//{*}path[@class='load']") == []


def test_two_at_the_same_second(look: Look, episodes: dict[str, list[str]]) -> None:
    """Both have their own vehicles, and the difference of their curves is shaded."""
    looker = look()
    first, second = episodes["crossing"]
    _open(looker, first, query=f"?beside={second}")
    traces = [_trace(looker, one, float(SECOND)) for one in (first, second)]
    assert traces[0]["frames"] != traces[1]["frames"]
    for count, trace in zip(looker.texts(".count"), traces, strict=True):
        standing = sum(_standing(trace).values())
        assert count.endswith(f"{len(trace['frames'][0]) // 5} vehicles · {standing} queueing")
    root = _drawing(looker)
    shaded = [one for one in root.findall(".//{*}path") if one.get("opacity") == "0.16"]
    assert {one.get("fill") for one in shaded} == {"#1f66a8", "#b25a00"}
    curves = [one for one in root.findall(".//{*}path") if one.get("stroke-width") == "2"]
    assert len(curves) == 8


def test_it_plays(look: Look, episodes: dict[str, list[str]]) -> None:
    """From part to part, to the end."""
    looker = look()
    first, _ = episodes["crossing"]
    _open(looker, first, second=250)
    looker.page.locator(".controls select[aria-label=Speed]").select_option("60")
    looker.page.locator(".player button.primary").click()
    looker.page.wait_for_function(
        "() => document.querySelector('.now').innerText === 'step 60 · 00:10:00'", timeout=60_000
    )
    assert "vehicles" in looker.texts(".count")[0]


def test_the_record_alone_where_it_cannot_be_repeated(
    look: Look, episodes: dict[str, list[str]]
) -> None:
    """What is wrong is said, and the steps are shown as they are on record."""
    looker = look()
    hostile = "<img src=x onerror='window.owned=1'>"
    problem = {"title": "x", "status": 500, "code": "trace_differs", "detail": hostile}
    looker.page.route(
        "**/trace?*",
        lambda route: route.fulfill(
            status=500, content_type="application/problem+json", body=json.dumps(problem)
        ),
    )
    looker.open(f"#/episode/{episodes['crossing'][0]}")
    looker.page.wait_for_selector("text=No vehicles can be shown")
    assert hostile in looker.page.locator("main").inner_text()
    assert looker.page.evaluate("window.owned") is None
    looker.seek(100)
    assert looker.texts(".count")[0].startswith("reward")


def test_it_is_saved_with_its_vehicles(
    look: Look, episodes: dict[str, list[str]], tmp_path: Path
) -> None:
    """The page that opens without a server shows those that were looked at."""
    looker = look()
    _open(looker, episodes["crossing"][0])
    with looker.page.expect_download() as saved:
        looker.page.get_by_role("button", name="HTML", exact=True).click()
    path = tmp_path / "episode.html"
    saved.value.save_as(path)
    alone = Looker(looker.page.context.new_page(), looker.service)
    alone.page.goto(path.as_uri())
    alone.page.wait_for_selector("tbody tr")
    alone.seek(SECOND)
    assert alone.texts(".count") == looker.texts(".count")
    alone.page.close()


def test_what_looking_ahead_would_have_done(look: Look, episodes: dict[str, list[str]]) -> None:
    """At a step long past: the API's candidates, the regret of what was done, and a mark."""
    looker = look()
    first, _ = episodes["crossing"]
    looker.open(f"#/episode/{first}")
    looker.page.wait_for_selector("tbody tr")
    looker.seek(240)
    looker.page.get_by_role("button", name="Try").click()
    looker.page.wait_for_selector("[aria-label='Looking ahead'] tbody tr", timeout=60_000)
    step = looker.service.get(f"/v1/episodes/{first}/steps?offset=23&limit=2")["steps"]
    legal = step[0]["answer"]["signals"]["c"]["legal"]
    taken = step[1]["request"]["decisions"]
    rewards = _scored(looker, first, [*({"c": one} for one in legal), taken])
    best = max(rewards[:-1])
    shown = looker.texts("[aria-label='Looking ahead'] tbody td.number")
    assert shown[::2] == [_said(one) for one in sorted(rewards[:-1], reverse=True)]
    assert shown[1::2] == [_said(best - one) for one in sorted(rewards[:-1], reverse=True)]
    told = looker.texts("[aria-label='Decisions of the step'] tbody td")
    regret = best - rewards[-1]
    wanted = f"regret {_said(regret)}, queue over 60 s" if regret > 0 else "nothing better"
    assert any(wanted in one for one in told)


def _scored(looker: Looker, episode_id: str, decisions: list[dict[str, Any]]) -> list[float]:
    from tests.page.playing import post

    items = [{"decisions": one} for one in decisions]
    body = {"items": items, "reward": {"name": "queue"}, "base": "greedy", "step": 24}
    results = post(looker.service, f"/v1/episodes/{episode_id}/score", body)["results"]
    return [one["reward"] for one in results]


def _said(value: float) -> str:
    text = f"{abs(value):.3f}"
    return "−" + text if value < 0 and float(text) else text
