"""What third parties raise ends in one line that says how to go on."""

import errno
import importlib
import json
import re
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from greenfork.main import app
from greenfork.troubles import explained


def raised(make: Callable[[], object]) -> Exception:
    """What a call raises, as it comes."""
    try:
        make()
    except Exception as exc:  # noqa: BLE001 - whatever it is, is looked at
        return exc
    raise AssertionError("nothing was raised")


def _fill(path: str) -> None:
    with Path("/dev/full").open("w") as file:
        file.write(path)


def _refuse_template() -> None:
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    def refuse(message: str) -> None:
        from jinja2.exceptions import TemplateError

        raise TemplateError(message)

    environment = ImmutableSandboxedEnvironment()
    environment.from_string("{{ refuse('turns must alternate') }}").render(refuse=refuse)


def _mix_types() -> None:
    import pyarrow as pa

    pa.array([1, "one"])


def _read_torn_weights() -> None:
    from safetensors import safe_open

    with safe_open(Path(__file__), framework="numpy"):
        pass


def _read_torn_state() -> None:
    import torch

    torch.load(Path(__file__), weights_only=True)


def _refuse_tokenizer() -> None:
    from transformers import AutoTokenizer

    with TemporaryDirectory() as folder:
        Path(folder, "config.json").write_text('{"model_type": "llama"}')
        Path(folder, "tokenizer.json").write_text("{}")
        AutoTokenizer.from_pretrained(folder)


def _tell_wandb() -> None:
    kind = type("UsageError", (Exception,), {"__module__": "wandb.errors.errors"})
    raise kind("api_key not configured (no-tty)")


def _wrap(inner: Exception) -> Callable[[], None]:
    def call() -> None:
        raise RuntimeError("worker 0 failed") from inner

    return call


@pytest.mark.parametrize(
    ("make", "code", "said"),
    [
        (lambda: _fill("x"), "disk_full", "free some"),
        (_wrap(OSError(errno.ENOSPC, "No space", "/runs/a/model")), "disk_full", "/runs/a/model"),
        (_wrap(RuntimeError("PytorchStreamWriter failed writing file")), "disk_full", "free some"),
        (_refuse_template, "chat_template", "turns must alternate"),
        (_mix_types, "not_a_dataset", "one type"),
        (_read_torn_weights, "torn_file", "earlier checkpoint"),
        (_read_torn_state, "torn_file", "earlier checkpoint"),
        (_refuse_tokenizer, "tokenizer", "tokenizer"),
        (_tell_wandb, "tracker", "WANDB_MODE=offline"),
        (lambda: importlib.import_module("nowhere_at_all"), "missing_package", "pip install now"),
        (_wrap(ModuleNotFoundError("no", name="trl.x")), "missing_package", r"greenfork\[train\]"),
        (_wrap(ImportError("cannot import name")), "missing_package", "constraints"),
        (lambda: Path("/nowhere/x").read_bytes(), "file_error", "/nowhere/x.*does not exist"),
        (lambda: Path("/").read_bytes(), "file_error", "a folder"),
        (_wrap(MemoryError()), "out_of_memory", "batch_size"),
        (_wrap(RuntimeError("CUDA out of memory. Tried")), "out_of_memory", "batch_size"),
        (lambda: [][0], "internal", "IndexError"),
    ],
)
def test_exception_becomes_a_line(make: Callable[[], object], code: str, said: str) -> None:
    """With a code of its own; notes that were added on the way up follow."""
    error = raised(make)
    error.add_note("Resume with: greenfork train grpo")
    trouble = explained(error)
    assert trouble.code == code
    assert re.search(said, trouble.message)
    assert "Resume with: greenfork train grpo. --debug" in trouble.message


@pytest.fixture
def _broken(monkeypatch: pytest.MonkeyPatch) -> None:
    """A command whose work fails in a library."""

    def fail() -> None:
        raise LookupError("the library\x1b is upset\nin two lines")

    monkeypatch.setattr("sim_workers.scenarios.resco.find_resco", fail)


@pytest.mark.parametrize("place", [0, 1, 2])
@pytest.mark.usefixtures("_broken")
def test_traceback_is_for_those_who_ask(place: int, capsys: pytest.CaptureFixture[str]) -> None:
    """One line without ``--debug``, wherever that stands; the same line comes last with it."""
    args = ["scenarios", "list"]
    for debugging in (False, True):
        given = [*args[:place], *["--debug"] * debugging, *args[place:]]
        with pytest.raises(SystemExit) as ended:
            app(given)
        assert ended.value.code == 1
        *traceback, line = capsys.readouterr().err.splitlines()
        assert bool(traceback) is debugging
        assert line.startswith("greenfork: unexpected error in tests: LookupError: the ")
        assert "\x1b" not in line


@pytest.mark.usefixtures("_broken")
def test_machines_get_the_same_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    """On stdout, with the code."""
    with pytest.raises(SystemExit):
        app(["scenarios", "list", "--json"])
    assert json.loads(capsys.readouterr().out)["error"]["code"] == "internal"
