"""The pictures in the documentation, made anew with ``PICTURES=1 make page``."""

import io
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.page.conftest import Looker, Service
from tests.page.playing import play

Look = Callable[..., Looker]
IMAGES = Path(__file__).parents[2] / "docs" / "images"
MOST_BYTES = 2_000_000

pytestmark = pytest.mark.skipif("PICTURES" not in os.environ, reason="pictures are made on demand")


def _save(looker: Looker, name: str) -> None:
    from PIL import Image

    picture = Image.open(io.BytesIO(looker.page.screenshot())).convert("RGB")
    picture.save(IMAGES / name, optimize=True)


def test_state(look: Look) -> None:
    """A queue that one of two futures clears."""
    looker = look(size={"width": 1280, "height": 1200})
    looker.state("crossing", 4)
    looker.page.wait_for_selector(".message")
    looker.seek(25)
    _save(looker, "page-state.png")


def test_dark_state(look: Look) -> None:
    """A city's junction, in the dark."""
    looker = look(size={"width": 1280, "height": 880}, scheme="dark")
    looker.state("cologne8", 1)
    looker.seek(16)
    _save(looker, "page-dark.png")


def test_episode(look: Look, service: Service) -> None:
    """Two ways to steer the crossing."""
    first, second = (play(service, "crossing", place) for place in (1, 2))
    looker = look(size={"width": 1280, "height": 1330})
    looker.open(f"#/episode/{first}?beside={second}")
    _wait_for_vehicles(looker, 317)
    _save(looker, "page-episode.png")


def test_network(look: Look, service: Service) -> None:
    """A city coloured by queue, in the dark."""
    looker = look(size={"width": 1280, "height": 900}, scheme="dark")
    looker.open(f"#/episode/{play(service, 'cologne8', 1)}")
    _wait_for_vehicles(looker, 245)
    _save(looker, "page-network.png")


def _wait_for_vehicles(looker: Looker, second: int) -> None:
    looker.page.wait_for_selector("tbody tr")
    looker.seek(second)
    looker.page.wait_for_function(
        "() => [...document.querySelectorAll('.count')]"
        ".every(one => one.innerText.includes('vehicles'))"
    )
    looker.seek(second)


def test_service(look: Look) -> None:
    """After some work."""
    looker = look(size={"width": 1280, "height": 760})
    looker.open("#/service")
    looker.page.wait_for_selector("[data-figure=items]")
    for number in range(4):
        state = looker.service.state("crossing", number)["state_id"]
        looker.service.get(f"/v1/states/{state}/outcomes?tls_id=c&kind=phase&timeout_s=300")
        looker.page.wait_for_timeout(1500)
    _save(looker, "page-service.png")


def test_futures(look: Look) -> None:
    """Two futures, moving."""
    from PIL import Image

    looker = look(size={"width": 960, "height": 800})
    looker.state("crossing", 4)
    frames = []
    for half_seconds in range(121):
        looker.seek(half_seconds / 2)
        shot = looker.page.locator(".player").screenshot()
        frames.append(Image.open(io.BytesIO(shot)).convert("RGB"))
    frames[0].save(
        IMAGES / "page-futures.webp",
        save_all=True,
        append_images=[*frames[1:], *[frames[-1]] * 10],
        duration=100,
        loop=0,
        quality=55,
        method=4,
    )


def test_pictures_are_light() -> None:
    """All together."""
    assert 0 < sum(path.stat().st_size for path in IMAGES.glob("page-*")) < MOST_BYTES
