"""The service in a browser: live, and with the figures of the metrics page."""

import json
import re
import urllib.request
from collections.abc import Callable

from tests.page.conftest import Looker

Look = Callable[..., Looker]


def _metric(looker: Looker, name: str) -> float:
    with urllib.request.urlopen(f"{looker.service.url}/metrics") as response:  # noqa: S310
        text = response.read().decode()
    found = re.findall(rf"^greenfork_{name}(?:{{.*}})? (.*)$", text, re.MULTILINE)
    return sum(map(float, found))


def _figure(looker: Looker, name: str) -> str:
    return str(looker.page.locator(f"[data-figure={name}] dd").inner_text())


def test_figures_follow_the_metrics(look: Look) -> None:
    """What others ask for meanwhile is counted, without a reload."""
    looker = look()
    looker.open("#/service")
    looker.page.wait_for_selector("[data-figure=items]")
    before = _figure(looker, "items")
    assert float(before) == _metric(looker, "items_total")
    _score(looker)
    looker.page.wait_for_function(
        "before => document.querySelector('[data-figure=items] dd').innerText !== before",
        arg=before,
        timeout=20_000,
    )
    assert float(_figure(looker, "items")) == _metric(looker, "items_total")
    assert _figure(looker, "workers").endswith("of 1")


def test_shares_name_the_viewer(look: Look) -> None:
    """And nobody else, to whoever is no admin."""
    looker = look()
    _score(looker)
    looker.open("#/service")
    looker.page.wait_for_selector("text=Shares of the workers")
    names = looker.texts("section:has-text('Shares of the workers') tbody td:first-child")
    assert set(names) <= {"scorer", "others"}
    assert "scorer" in names


def _score(looker: Looker) -> None:
    state = looker.service.state("crossing", 2)
    item = {"state_id": state["state_id"], "tls_id": "c"}
    body = {"items": [item | {"decision": {"kind": "extend", "extend": True}}]}
    headers = {
        "Content-Type": "application/json",
        "Authorization": f"Bearer {looker.service.keys['score']}",
    }
    url = f"{looker.service.url}/v1/score"
    request = urllib.request.Request(url, json.dumps(body).encode(), headers)  # noqa: S310
    with urllib.request.urlopen(request) as response:  # noqa: S310
        assert response.status == 200
