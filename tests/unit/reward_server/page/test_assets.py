"""The page's own files: open, small, and with nothing that a policy would have to allow."""

import gzip
import re
from importlib.resources import files

from reward_server.page.assets import POLICY
from tests.unit.reward_server.conftest import Gateway, OpenGateway

STATIC = files("reward_server.page") / "static"
MOST_BYTES = 200_000
HTML = {"Accept": "text/html,application/xhtml+xml"}


async def test_people_are_led_to_the_page(gateway: Gateway) -> None:
    """From the root, and from the folder without its slash; programs are told what they were."""
    response = await gateway.http.get("/", headers=HTML)
    assert (response.status_code, response.headers["location"]) == (307, "ui/")
    assert (await gateway.http.get("/ui")).headers["location"] == "ui/"
    program = await gateway.http.get("/", headers={"Accept": "application/json"})
    assert (program.status_code, program.json()["code"]) == (404, "not_found")


async def test_page_needs_no_key(open_gateway: OpenGateway) -> None:
    """It asks for one itself; what it shows does need it."""
    gateway = await open_gateway(api_key="operator-key")
    for path in ("/ui/", "/ui/app.js", "/ui/style.css"):
        assert (await gateway.http.get(path)).status_code == 200
    assert (await gateway.http.get("/v1/service")).status_code == 401


async def test_policy(gateway: Gateway) -> None:
    """No script and no style in the document, and nothing from elsewhere."""
    response = await gateway.http.get("/ui/")
    assert response.headers["content-security-policy"] == POLICY
    assert "unsafe" not in POLICY
    assert "http" not in POLICY
    assert response.headers["x-content-type-options"] == "nosniff"
    assert response.headers["referrer-policy"] == "no-referrer"


async def test_unchanged_files_are_not_sent_again(gateway: Gateway) -> None:
    """A browser that has a file is told so."""
    first = await gateway.http.get("/ui/app.js")
    again = await gateway.http.get("/ui/app.js", headers={"If-None-Match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")


async def test_nothing_else_is_served(gateway: Gateway) -> None:
    """No name leads out of the folder."""
    for name in ("nothing.js", "..%2Fassets.py", "__init__.py", "%2e%2e/assets.py"):
        assert (await gateway.http.get(f"/ui/{name}")).status_code == 404


def test_document_holds_no_script() -> None:
    """Nothing in it that the policy forbids: no code, no styles, no handlers."""
    text = (STATIC / "index.html").read_text()
    assert re.findall(r"<script(?![^>]*\ssrc=)", text) == []
    assert re.findall(r"<style|\sstyle=|\son[a-z]+=|javascript:", text) == []


def test_strangers_texts_are_never_markup() -> None:
    """No module makes elements out of text, or code."""
    ways = r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b|new Function|srcdoc"
    for file in STATIC.iterdir():
        if file.name.endswith(".js"):
            assert re.findall(ways, file.read_text()) == [], file.name


def test_no_key_in_addresses() -> None:
    """Events are read by fetch, which sends a header; the other way would need a key in a URL."""
    for file in STATIC.iterdir():
        if file.name.endswith(".js"):
            assert "EventSource(" not in file.read_text()


def test_page_is_light() -> None:
    """All of it, packed."""
    packed = sum(len(gzip.compress(file.read_bytes(), 9)) for file in STATIC.iterdir())
    assert 0 < packed < MOST_BYTES
