"""What the GPU benchmark says where it cannot measure."""

import importlib.util
from pathlib import Path

import pytest

from benchmarks.gpu import __main__ as module


def _run(monkeypatch: pytest.MonkeyPatch, results: Path, *installed: str) -> int:
    known = set(installed)
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: object() if name in known else None
    )
    monkeypatch.setattr(module, "_has_gpu", lambda: False)
    return module.main(["--results", str(results)])


def test_without_a_gpu(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It names the missing GPU and packages, and records nothing."""
    results = tmp_path / "results.jsonl"
    assert _run(monkeypatch, results, "torch", "trl", "peft") == 1
    said = " ".join(capsys.readouterr().out.split())
    assert "left out: preset gpu: not installed: unsloth, vllm" in said
    assert "left out: everything: torch sees no CUDA GPU; --cpu shows" in said
    assert not results.exists()


def test_without_packages(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each preset says what it lacks; torch is not asked for, as it may not be there."""
    assert _run(monkeypatch, tmp_path / "results.jsonl") == 1
    said = " ".join(capsys.readouterr().out.split())
    assert "preset gpu-transformers: not installed: torch, trl, peft" in said
    assert "no CUDA GPU" not in said
