"""A service with keys, and a browser that looks at it."""

import importlib.util
import json
import shutil
import subprocess
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from sim_workers.datasets.build_plan import BuildOptions
from sim_workers.datasets.builder import build_dataset
from sim_workers.scenarios.resco import locate_scenario
from tests.integration.conftest import dataset_of
from tests.integration.reward_server.serving import GREENFORK, served

__all__ = ["dataset_of"]

CHROMIUM = shutil.which("chromium")
HAS_BROWSER = importlib.util.find_spec("playwright") is not None
if not HAS_BROWSER:  # `make page` has an environment that has it
    collect_ignore_glob = ["test_*.py"]

WIDE = {"width": 1280, "height": 900}
PHONE = {"width": 390, "height": 844}


@dataclass(frozen=True)
class Service:
    """A served page."""

    url: str
    keys: dict[str, str]
    """By scope."""

    def get(self, path: str) -> Any:  # noqa: ANN401
        """What the API says, to somebody who may look."""
        headers = {"Authorization": f"Bearer {self.keys['score']}"}
        request = urllib.request.Request(self.url + path, headers=headers)  # noqa: S310
        with urllib.request.urlopen(request) as response:  # noqa: S310
            return json.load(response)

    def state(self, scenario: str, number: int = 0) -> dict[str, Any]:
        """One of a scenario's states."""
        states: list[dict[str, Any]] = self.get(f"/v1/states?scenario={scenario}")["states"]
        return states[number]


@pytest.fixture(scope="session")
def service(
    dataset_of: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Service]:
    """Crossing and cologne8, served to whoever has a key."""
    folder = tmp_path_factory.mktemp("page")
    cologne8 = folder / "cologne8"
    build_dataset(locate_scenario("resco:cologne8"), cologne8, BuildOptions(seeds=(7,), states=3))
    keys = {}
    for scope, name in (("score", "scorer"), ("read", "reader")):
        command = [*GREENFORK, "keys", "create", name, "--scope", scope]
        command += ["--data-dir", str(folder / "data"), "--json"]
        made = subprocess.run(command, check=True, capture_output=True, text=True)
        keys[scope] = json.loads(made.stdout)["key"]
    with served(dataset_of("crossing"), cologne8, data_dir=folder / "data") as url:
        yield Service(url, keys)


@pytest.fixture(scope="session")
def chromium() -> Iterator[Any]:
    """The browser."""
    from playwright.sync_api import sync_playwright

    assert CHROMIUM is not None, "the tests of the page need Debian's chromium: apt-get install it"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@dataclass
class Looker:
    """Somebody at the page."""

    page: Any
    service: Service
    troubles: list[str] = field(default_factory=list)
    """What the browser complained of."""
    urls: list[str] = field(default_factory=list)
    """All that was asked for."""

    def open(self, path: str = "") -> None:
        """Goes to a view."""
        self.page.goto(f"{self.service.url}/ui/{path}")

    def state(self, scenario: str, number: int = 0, query: str = "") -> dict[str, Any]:
        """Opens a state, and waits until both futures are there."""
        state = self.service.state(scenario, number)
        self.open(f"#/state/{state['state_id'].replace('@', '%40')}{query}")
        self.page.wait_for_selector("canvas.scene", timeout=60_000)
        self.page.wait_for_function("() => document.querySelectorAll('.count').length > 0")
        return state

    def seek(self, seconds: float) -> None:
        """Moves the slider."""
        self.page.evaluate(
            """t => { const slider = document.querySelector('input[type=range]');
            slider.value = t; slider.dispatchEvent(new Event('input')); }""",
            seconds,
        )
        self.page.evaluate(
            "() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))"
        )

    def texts(self, selector: str) -> list[str]:
        """What elements say."""
        return [text.strip() for text in self.page.locator(selector).all_inner_texts()]


@pytest.fixture
def look(chromium: Any, service: Service) -> Iterator[Callable[..., Looker]]:  # noqa: ANN401
    """Opens windows with a key of some scope, and finds no trouble in them afterwards."""
    opened: list[tuple[Any, Looker]] = []

    def open_window(
        scope: str | None = "score", size: dict[str, int] = WIDE, scheme: str = "light"
    ) -> Looker:
        context = chromium.new_context(
            viewport=size, color_scheme=scheme, reduced_motion="reduce", accept_downloads=True
        )
        if scope is not None:
            kept = json.dumps(service.keys[scope])
            context.add_init_script(f"sessionStorage.setItem('greenfork-key', {kept})")
        page = context.new_page()
        looker = Looker(page, service)
        page.on("pageerror", lambda error: looker.troubles.append(str(error)))
        page.on("console", lambda said: _hear(looker, said))
        page.on("request", lambda request: looker.urls.append(request.url))
        opened.append((context, looker))
        return looker

    yield open_window
    for context, looker in opened:
        context.close()
        assert looker.troubles == []
        for url in looker.urls:
            assert url.startswith((service.url, "blob:", "data:")), "nothing from elsewhere"
            assert not any(key in url for key in service.keys.values()), "no key in an address"


def _hear(looker: Looker, said: Any) -> None:  # noqa: ANN401
    is_refusal = "the server responded with a status of" in said.text
    if said.type == "error" and not is_refusal:
        looker.troubles.append(said.text)


@pytest.fixture(scope="session")
def episodes(service: Service) -> dict[str, list[str]]:
    """Two of each scenario."""
    from tests.page.playing import END_S, play

    return {name: [play(service, name, place) for place in (1, 2)] for name in END_S}
