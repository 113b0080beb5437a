"""Episodes in a browser: an hour at a slider, and two of them at the same second."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from tests.page.conftest import Looker
from tests.page.playing import END_S, post

Look = Callable[..., Looker]


def _seek(looker: Looker, step: int) -> None:
    looker.seek(10 * step)
    looker.page.wait_for_function(
        "step => document.querySelector('.now').innerText.startsWith(`step ${step} `)", arg=step
    )


@pytest.mark.parametrize("scenario", END_S)
def test_episode(look: Look, episodes: dict[str, list[str]], scenario: str) -> None:
    """Figures, rewards and decisions are those of the API, at any step."""
    looker = look()
    first, _ = episodes[scenario]
    looker.open(f"#/episode/{first}")
    looker.page.wait_for_selector("tbody tr")
    result = looker.service.get(f"/v1/episodes/{first}/result")
    shown = looker.page.locator("[data-figure=delay_s] dd").inner_text()
    assert shown == f"{result['delay_s']:.1f} s"
    steps = looker.service.get(f"/v1/episodes/{first}/steps?limit=1000")["steps"]
    for place in (9, len(steps) - 1):
        _seek(looker, place)
        asked, answer = steps[place]["request"], steps[place]["answer"]
        rows = [row.split("\t") for row in looker.texts("tbody tr")]
        assert [row[0].strip() for row in rows] == sorted(answer["rewards"])
        for tls_id, _phase, said, became, reward, *_ in rows:
            name = tls_id.strip()
            if name in asked["completions"]:
                assert said.strip() == "a text"
                assert "no_json" in became
            elif name in asked["decisions"]:
                assert said.strip() == f"Phase {asked['decisions'][name]['next_phase']}"
            value = answer["rewards"][name]
            assert reward.strip().replace("−", "-") in (f"{value:.2f}", f"{abs(value):.2f}")


def test_two_beside_each_other(look: Look, episodes: dict[str, list[str]]) -> None:
    """The other one is chosen, and both tell the reward of the same step."""
    looker = look()
    first, second = episodes["crossing"]
    looker.open(f"#/episode/{first}")
    looker.page.wait_for_selector("tbody tr")
    looker.page.locator("label:has-text('Compare') select").select_option(second)
    looker.page.wait_for_function("() => document.querySelectorAll('.future').length === 2")
    _seek(looker, 30)
    rewards = [
        looker.service.get(f"/v1/episodes/{one}/steps?limit=1&offset=29")["steps"][0]["answer"]
        for one in (first, second)
    ]
    wanted = [f"reward {one['reward']:.2f}".replace("-", "−") for one in rewards]
    for count, reward in zip(looker.texts(".count"), wanted, strict=True):
        assert count.startswith(reward)
    assert looker.page.locator("canvas.bands").count() == 2


def test_list(look: Look, episodes: dict[str, list[str]]) -> None:
    """The caller's own, each a link; a stranger's key sees none."""
    looker = look()
    looker.open("#/episodes")
    looker.page.wait_for_selector("tbody tr")
    ids = [one for pair in episodes.values() for one in pair]
    assert {one[:12] for one in ids} <= set(looker.texts("tbody a"))
    stranger = look(scope="read")
    stranger.open("#/episodes")
    stranger.page.wait_for_selector("text=None yet")


def test_export(look: Look, episodes: dict[str, list[str]], tmp_path: Path) -> None:
    """The page that is saved opens without a server and shows the same."""
    looker = look()
    looker.open(f"#/episode/{episodes['crossing'][0]}")
    looker.page.wait_for_selector("tbody tr")
    with looker.page.expect_download() as saved:
        looker.page.get_by_role("button", name="HTML", exact=True).click()
    path = tmp_path / saved.value.suggested_filename
    saved.value.save_as(path)
    with looker.page.expect_download() as drawing:
        looker.page.get_by_role("button", name="SVG", exact=True).click()
    root = ElementTree.parse(drawing.value.path()).getroot()  # noqa: S314  the page has drawn it
    assert len(root.findall(".//{*}rect")) > 10, "bands of greens"
    assert len([p for p in root.findall(".//{*}path") if p.get("stroke-width") == "2"]) == 4
    alone = looker.page.context.new_page()
    alone.goto(path.as_uri())
    alone.wait_for_selector("tbody tr")
    assert alone.locator("tbody tr").all_inner_texts() == looker.texts("tbody tr")
    alone.close()


def test_accessible(look: Look, episodes: dict[str, list[str]]) -> None:
    """axe-core finds nothing."""
    from importlib.resources import files

    looker = look(scheme="dark")
    looker.open(f"#/episode/{episodes['cologne8'][0]}")
    looker.page.wait_for_selector("tbody tr")
    looker.page.evaluate((files("axe_playwright_python") / "axe.min.js").read_text())
    found = looker.page.evaluate("axe.run(document)")
    said = [(one["id"], [node["html"] for node in one["nodes"]]) for one in found["violations"]]
    assert said == []


def test_hostile_episode(look: Look, episodes: dict[str, list[str]]) -> None:
    """Ids of signals, codes, messages, prompts and answers are text."""
    looker = look()
    hostile = '<img src=x onerror="window.owned=1"></script><script>window.owned=2</script>'

    def spoil_view(route: Any) -> None:  # noqa: ANN401
        response = route.fetch()
        body = response.json()
        body["signals"] = [hostile, *body["signals"]]
        route.fulfill(response=response, body=json.dumps(body))

    def spoil_steps(route: Any) -> None:  # noqa: ANN401
        response = route.fetch()
        body = response.json()
        step = body["steps"][0]
        body["begin"]["signals"][hostile] = body["begin"]["signals"]["c"] | {
            "prompt": [{"role": "user", "content": hostile}]
        }
        step["request"]["completions"][hostile] = hostile
        step["answer"]["invalid"][hostile] = {"code": hostile, "message": hostile}
        route.fulfill(response=response, body=json.dumps(body))

    first = episodes["crossing"][0]
    looker.page.route(f"**/v1/episodes/{first}", spoil_view)
    looker.page.route(f"**/v1/episodes/{first}/steps?*", spoil_steps)
    looker.open(f"#/episode/{first}")
    looker.page.wait_for_selector("tbody details")
    looker.page.locator("tbody details").first.click()
    assert hostile in looker.page.locator("main").inner_text()
    assert looker.page.locator("main img, main script").count() == 0
    with looker.page.expect_download() as saved:
        looker.page.get_by_role("button", name="HTML", exact=True).click()
    assert "window.owned=2</script>" not in Path(saved.value.path()).read_text()
    assert looker.page.evaluate("window.owned") is None


def test_looking_ahead(look: Look) -> None:
    """Of a running episode every decision is tried; the API says the same, and nothing moves."""
    looker = look()
    asked = {
        "scenario_id": looker.service.state("crossing")["scenario_id"],
        "control": {"preset": "resco"},
    }
    begun = post(looker.service, "/v1/episodes", asked)
    path = f"/v1/episodes/{begun['episode_id']}"
    legal = begun["signals"]["c"]["legal"]
    post(looker.service, f"{path}/step", {"step": 0, "decisions": {"c": legal[0]}})
    looker.open(f"#/episode/{begun['episode_id']}")
    looker.page.wait_for_selector("tbody tr")
    _seek(looker, 1)
    looker.page.get_by_role("button", name="Try").click()
    looker.page.wait_for_selector("[aria-label='Looking ahead'] tbody tr", timeout=60_000)
    shown = looker.texts("[aria-label='Looking ahead'] tbody td.number")[::2]
    moment = looker.service.get(path)
    assert moment["step"] == 1
    legal = moment["answer"]["signals"]["c"]["legal"]
    items = [{"tls_id": "c", "decision": decision} for decision in legal]
    body = {"items": items, "reward": {"name": "delay", "horizon_s": 60}, "base": "greedy"}
    told = post(looker.service, f"{path}/score", body)["results"]
    rewards = sorted((one["reward"] for one in told), reverse=True)
    assert shown == [f"{one:.3f}".replace("-", "−") for one in rewards]
