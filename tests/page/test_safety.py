"""Strangers' names are text, keys stay in their tab, and everybody can use the page."""

import json
from collections.abc import Callable
from importlib.resources import files
from typing import Any

import pytest

from tests.page.conftest import Looker

Look = Callable[..., Looker]
HOSTILE = '<img src=x onerror="window.owned=1"><script>window.owned=2</script>"\'`${1}'


def _hostile(looker: Looker, pattern: str, spoil: Callable[[Any], object]) -> None:
    """Has answers of the API come with other words in them."""

    def answer(route: Any) -> None:  # noqa: ANN401
        response = route.fetch()
        body = response.json()
        spoil(body)
        route.fulfill(response=response, body=json.dumps(body))

    looker.page.route(pattern, answer)


def _assert_harmless(looker: Looker) -> None:
    assert looker.page.evaluate("window.owned") is None
    assert looker.page.locator("main img, main script").count() == 0
    assert HOSTILE in looker.page.locator("main").inner_text()


def test_hostile_states(look: Look) -> None:
    """In the list of states, and in the choice of scenarios."""
    looker = look()

    def spoil(body: Any) -> None:  # noqa: ANN401
        for state in body["states"]:
            state["scenario_id"] = HOSTILE

    _hostile(looker, "**/v1/states?*", spoil)
    looker.open()
    looker.page.wait_for_selector("table")
    _assert_harmless(looker)


def test_hostile_state(look: Look) -> None:
    """Ids of signals and vehicles, prompts, decisions' errors."""
    looker = look()

    def spoil_state(body: Any) -> None:  # noqa: ANN401
        body["definitions"][HOSTILE] = body["definitions"]["c"]
        body["signals"][HOSTILE] = body["signals"]["c"]

    def spoil_prompt(body: Any) -> None:  # noqa: ANN401
        body["prompt"][0]["content"] = HOSTILE

    def spoil_score(body: Any) -> None:  # noqa: ANN401
        for result in body["results"]:
            result["trace"]["vehicles"] = [HOSTILE] * len(result["trace"]["vehicles"])
            result["trace"]["signals"][HOSTILE] = result["trace"]["signals"]["c"]

    def spoil_outcomes(body: Any) -> None:  # noqa: ANN401
        body["reference"]["error"] = {"code": HOSTILE, "message": HOSTILE, "retryable": False}

    _hostile(looker, "**/v1/states/*", spoil_state)
    _hostile(looker, "**/prompt?*", spoil_prompt)
    _hostile(looker, "**/outcomes?*", spoil_outcomes)
    _hostile(looker, "**/v1/score", spoil_score)
    looker.state("crossing")
    looker.page.wait_for_selector(".message")
    looker.seek(10)
    _assert_harmless(looker)


def test_hostile_service(look: Look) -> None:
    """Names of keys, codes, and what a job's failure says."""
    looker = look()

    def spoil(body: Any) -> None:  # noqa: ANN401
        body["flows"].append(
            dict.fromkeys(("weight", "queued", "running", "done"), 1) | {"name": HOSTILE}
        )
        body["figures"].append(
            {
                "name": "greenfork_items_total",
                "labels": {"status": HOSTILE, "code": HOSTILE},
                "value": 1,
            }
        )
        body["viewer"]["name"] = HOSTILE

    _hostile(looker, "**/v1/service", spoil)
    looker.page.route("**/v1/service/events", lambda route: route.abort())
    looker.open("#/service")
    looker.page.wait_for_selector("text=Shares of the workers")
    _assert_harmless(looker)
    looker.troubles.clear()  # the connection that was cut off here


def test_hostile_addresses(look: Look) -> None:
    """What stands behind the # is text as well."""
    looker = look()
    looker.open("#/state/" + HOSTILE.replace("%", "%25"))
    looker.page.wait_for_selector("[role=alert]")
    assert looker.page.evaluate("window.owned") is None
    assert looker.page.locator("main img, main script").count() == 0


def test_inline_script_is_refused(look: Look) -> None:
    """Even if markup came in, the policy would not let it run."""
    looker = look()
    looker.open()
    looker.page.wait_for_selector("table")
    looker.page.evaluate(
        """() => { const script = document.createElement('script');
        script.textContent = 'window.owned = 1'; document.body.append(script); }"""
    )
    assert looker.page.evaluate("window.owned") is None
    assert looker.troubles, "the browser says so"
    looker.troubles.clear()


def test_key_is_asked_for_and_kept_for_the_tab(look: Look) -> None:
    """A wrong one is refused, a right one is kept in this tab; another tab asks again."""
    looker = look(scope=None)
    looker.open()
    looker.page.wait_for_selector("dialog")
    looker.page.locator("dialog input").fill("gfk_wrong")
    looker.page.locator("dialog .primary").click()
    looker.page.wait_for_selector("dialog:has-text('not known here')")
    looker.page.locator("dialog input").fill(looker.service.keys["read"])
    looker.page.locator("dialog .primary").click()
    looker.page.wait_for_selector("table")
    assert looker.page.evaluate("[localStorage.length, document.cookie]") == [0, ""]
    looker.page.reload()
    looker.page.wait_for_selector("table")
    other = looker.page.context.new_page()
    other.goto(looker.page.url)
    other.wait_for_selector("dialog")
    looker.page.locator("text=Forget key").click()
    looker.page.wait_for_selector("dialog")
    assert looker.page.evaluate("sessionStorage.length") == 0


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("view", ["states", "state", "service"])
def test_accessible(look: Look, view: str, scheme: str) -> None:
    """axe-core finds nothing, contrast included."""
    looker = look(scheme=scheme)
    if view == "state":
        looker.state("crossing", 4)
        looker.page.wait_for_selector(".message")
    else:
        looker.open("#/service" if view == "service" else "")
        looker.page.wait_for_selector("table")
    looker.page.evaluate((files("axe_playwright_python") / "axe.min.js").read_text())
    found = looker.page.evaluate("axe.run(document)")
    said = [(one["id"], [node["html"] for node in one["nodes"]]) for one in found["violations"]]
    assert said == []
    assert len(found["passes"]) > 10
