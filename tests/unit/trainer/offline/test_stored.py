"""Stored log-probabilities come back to the candidates that they are of, and to no others."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from shared.errors import ConfigError
from trainer.offline.batches import EncodedGroup
from trainer.offline.stored import StoredLogps

_GROUPS = [EncodedGroup((5, 6), ((1,), (2, 3)), (1.0, -1.0), (True, True), (2.0, 1.0))]
_LOGPS = [torch.tensor([-0.1]), torch.tensor([-0.2, -0.3])]


def test_they_are_read_as_they_were_written(tmp_path: Path) -> None:
    """To the bit, and cut where they were."""
    stored = StoredLogps(tmp_path / "grpo" / "stored.safetensors")
    stored.write(_GROUPS, _LOGPS)
    found = stored.read(_GROUPS)
    assert [one.tolist() for one in found] == [one.tolist() for one in _LOGPS]


def test_other_candidates_are_refused(tmp_path: Path) -> None:
    """As after a change of the file, the seed or the tokenizer."""
    stored = StoredLogps(tmp_path / "stored.safetensors")
    stored.write(_GROUPS, _LOGPS)
    with pytest.raises(ConfigError, match="other candidates"):
        stored.read([replace(_GROUPS[0], candidates=((1,), (2, 4)))])


@pytest.mark.parametrize("content", [None, b"", b"not a tensor"])
def test_a_missing_or_damaged_file_is_said(tmp_path: Path, content: bytes | None) -> None:
    """Stage 2 cannot go on without it."""
    path = tmp_path / "stored.safetensors"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigError, match="cannot be resumed without"):
        StoredLogps(path).read(_GROUPS)
