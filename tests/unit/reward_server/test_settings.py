"""Settings: where they come from, and what is refused."""

import re
from pathlib import Path

import pytest

from reward_server.settings import ServerSettings, load_settings
from shared.errors import ConfigError

ROOT = Path(__file__).parents[3]


def test_command_line_wins_over_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """And the environment over defaults."""
    monkeypatch.setenv("GREENFORK_SERVER_PORT", "1111")
    monkeypatch.setenv("GREENFORK_SERVER_WORKERS", "3")
    settings = load_settings({"port": 2222, "workers": None})
    assert (settings.port, settings.workers, settings.host) == (2222, 3, "127.0.0.1")


def test_datasets_are_split_like_path(monkeypatch: pytest.MonkeyPatch) -> None:
    """In the environment."""
    monkeypatch.setenv("GREENFORK_SERVER_DATASETS", "a:b/c:")
    assert load_settings({}).datasets == (Path("a"), Path("b/c"))


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ({"port": 70000}, "GREENFORK_SERVER_PORT"),
        ({"workers": 0}, "GREENFORK_SERVER_WORKERS"),
        ({"colour": "red"}, "colour"),
        ({"max_items": 10, "max_pending_items": 5}, "max_pending_items"),
        ({"api_key": ""}, "api_key is empty"),
    ],
)
def test_bad_value_is_named(given: dict[str, object], name: str) -> None:
    """With the variable that sets it."""
    with pytest.raises(ConfigError, match=name):
        load_settings(given)


def test_key_does_not_show() -> None:
    """Not in a log, not in a traceback."""
    assert "hush" not in repr(load_settings({"api_key": "hush"}))


def test_example_file_lists_every_setting() -> None:
    """And nothing that is none."""
    text = (ROOT / ".env.example").read_text()
    listed = set(re.findall(r"^#?(GREENFORK_SERVER_\w+)=", text, re.MULTILINE))
    assert listed == {f"GREENFORK_SERVER_{name.upper()}" for name in ServerSettings.model_fields}


def test_every_setting_is_described() -> None:
    """Each has a docstring under it."""
    assert all(field.description for field in ServerSettings.model_fields.values())
