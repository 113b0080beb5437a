"""How the demo ends: where there is something to look at, and who waits there."""

import pytest

from greenfork.commands import demo

URL = "http://127.0.0.1:8123"
SERVE = "greenfork serve --dataset runs/demo/dataset --port 8123"


def _said(capsys: pytest.CaptureFixture[str]) -> str:
    captured = capsys.readouterr()
    return captured.out + captured.err


def test_page_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    """With the command that serves it again, for the service has ended with the demo."""
    demo._name_the_page(URL, SERVE, stay=False)
    said = _said(capsys)
    assert f"{URL}/ui" in said
    assert SERVE in said
    assert "--stay" in said


def test_stays_until_it_is_interrupted(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-C ends the waiting, and is no failure."""
    waited = []

    def wait(event: object, timeout: float | None = None) -> bool:
        waited.append(timeout)
        raise KeyboardInterrupt

    monkeypatch.setattr("threading.Event.wait", wait)
    demo._name_the_page(URL, SERVE, stay=True)
    assert waited == [None]
    assert f"{URL}/ui" in _said(capsys)
