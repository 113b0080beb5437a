"""Stored decisions are read line by line, and refused where they could not be carried out."""

from pathlib import Path

import pytest

from shared.errors import ConfigError
from sim_workers.datasets.stored_actions import check_stored, read_stored_policy
from sim_workers.engine.policies import choose


def _file(folder: Path, *lines: str) -> Path:
    path = folder / "actions.jsonl"
    path.write_text("".join(f"{line}\n" for line in lines))
    return path


def test_both_forms_are_read(tmp_path: Path) -> None:
    """A plain yes or no, or a decision as the service takes it; empty lines do no harm."""
    path = _file(
        tmp_path,
        '{"time_s": 5, "tls_id": "c", "extend": true}',
        "",
        '{"time_s": 10, "tls_id": "c", "decision": {"kind": "extend", "extend": false}}',
        '{"time_s": 10, "tls_id": "d", "decision": {"extend": true, "extend_s": 5}}',
    )
    policy = read_stored_policy(path, 5)
    assert policy.stored == {"c": {5: True, 10: False}, "d": {10: True}}
    assert choose(policy, 1, "c", 10, 0, {}) is False
    assert choose(policy, 1, "c", 15, 0, {}) is None
    assert (policy.label, policy.is_idle) == ("stored", False)


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("half a li", "Invalid JSON"),
        ('{"time_s": 5, "extend": true}', "tls_id: Field required"),
        ('{"time_s": -5, "tls_id": "c", "extend": true}', "time_s"),
        ('{"time_s": 5, "tls_id": "c", "extend": "yes"}', "extend: .*boolean"),
        ('{"time_s": 5, "tls_id": "c"}', 'give either "extend" or "decision"'),
        ('{"time_s": 5, "tls_id": "c", "decision": {"kind": "phase"}}', "decision"),
        (
            '{"time_s": 5, "tls_id": "c", "decision": {"extend": true, "extend_s": 7}}',
            "adds 5 s in this build, not 7",
        ),
        ('{"time_s": 0, "tls_id": "c", "extend": false}', "already a decision at c at 0 s"),
    ],
)
def test_bad_line_is_named_by_its_number(line: str, problem: str, tmp_path: Path) -> None:
    """With what is wrong about it."""
    path = _file(tmp_path, '{"time_s": 0, "tls_id": "c", "extend": true}', line)
    with pytest.raises(ConfigError, match=rf"actions\.jsonl, line 2: .*{problem}") as caught:
        read_stored_policy(path, 5)
    assert caught.value.code == "bad_actions"


@pytest.mark.parametrize("content", [None, b"", b"\n\n", b"\xff"])
def test_file_without_actions_is_refused(content: bytes | None, tmp_path: Path) -> None:
    """One that is missing, empty or no text."""
    path = tmp_path / "actions.jsonl"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigError, match=r"actions\.jsonl") as caught:
        read_stored_policy(path, 5)
    assert caught.value.code == "bad_actions"


@pytest.mark.parametrize(
    ("tls_id", "time_s", "problem"),
    [
        ("north", 605, "signal 'north'; the network has c, d"),
        ("c", 607, "every 5 s from 600 s on"),
        ("c", 595, "never be carried out"),
    ],
)
def test_actions_that_would_never_be_carried_out_are_refused(
    tls_id: str, time_s: int, problem: str, tmp_path: Path
) -> None:
    """A signal that is not there, a moment at which nobody decides."""
    path = _file(tmp_path, f'{{"time_s": {time_s}, "tls_id": "{tls_id}", "extend": true}}')
    with pytest.raises(ConfigError, match=problem):
        check_stored(read_stored_policy(path, 5), ["d", "c"], 600)


def test_actions_on_the_grid_are_fine(tmp_path: Path) -> None:
    """From the begin on."""
    path = _file(tmp_path, '{"time_s": 600, "tls_id": "c", "extend": true}')
    check_stored(read_stored_policy(path, 5), ["c"], 600)
