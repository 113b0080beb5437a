"""What is said where something below a command failed that is none of the project's own errors.

The one place where exceptions of third parties end: full disks, templates, tokenizers, Arrow,
trackers, packages that are not installed. Each becomes one line with the way on; the rest is for
``--debug``. Knows them by name, so that nothing is imported to say what went wrong.
"""

import errno
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass

__all__ = ["Trouble", "explained"]


@dataclass(frozen=True)
class Trouble:
    """A failure in a sentence."""

    message: str
    code: str
    status: int = 1
    """The exit status: 2 where what was given is to blame."""


def explained(error: BaseException) -> Trouble:
    """What an exception of a third party means, and what to do about it.

    Notes that were added to the exception on its way up follow: how to go on, say.
    """
    for one in _chain(error):
        for judge in _JUDGES:
            if (found := judge(one)) is not None:
                return _with_notes(found, error)
    package = next(reversed(_modules(error)), "").partition(".")[0]
    where = f" in {package}" if package else ""
    return _with_notes(Trouble(f"unexpected error{where}: {_said(error)}", "internal"), error)


def _with_notes(trouble: Trouble, error: BaseException) -> Trouble:
    notes = [one.rstrip(".") for one in getattr(error, "__notes__", ())]
    parts = [trouble.message.rstrip("."), *notes, "--debug shows the traceback"]
    return Trouble(". ".join(parts), trouble.code, trouble.status)


def _chain(error: BaseException) -> Iterator[BaseException]:
    """The exception and its causes: what wraps another one often says less."""
    seen: set[int] = set()
    one: BaseException | None = error
    while one is not None and id(one) not in seen:
        seen.add(id(one))
        yield one
        if isinstance(one, BaseExceptionGroup):
            yield from one.exceptions
        one = one.__cause__ or (None if one.__suppress_context__ else one.__context__)


def _said(error: BaseException) -> str:
    """Type and first line, which may be all that there is."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    name = type(error).__name__
    return f"{name}: {lines[0][:300]}" if lines else name


def _modules(error: BaseException) -> list[str]:
    """The modules through which an exception came, the outermost first; it may have no own name."""
    return [str(f.f_globals.get("__name__")) for f, _ in traceback.walk_tb(error.__traceback__)]


def _is_a(error: BaseException, *names: str) -> bool:
    """Whether one of the classes of an error has such a name, ``package.Class``."""
    return any(
        f"{(kind.__module__ or '').partition('.')[0]}.{kind.__name__}" in names
        for kind in type(error).__mro__
    )


_FULL = (errno.ENOSPC, errno.EDQUOT)
_FULL_TEXTS = ("No space left on device", "Disk quota exceeded", "PytorchStreamWriter failed")


def _of_full_disk(error: BaseException) -> Trouble | None:
    is_full = isinstance(error, OSError) and error.errno in _FULL
    if not is_full and not _says(error, *_FULL_TEXTS):
        return None
    name = getattr(error, "filename", None)
    where = f" while writing {name}" if name else ""
    return Trouble(f"the disk is full{where}: free some space", "disk_full")


_WAYS = {
    errno.EACCES: "permission denied",
    errno.EPERM: "permission denied",
    errno.EROFS: "it is on a read-only file system",
    errno.ENOENT: "it does not exist",
    errno.EISDIR: "it is a folder",
    errno.ENOTDIR: "part of its path is a file",
    errno.ENAMETOOLONG: "its name is too long",
    errno.EFBIG: "it would exceed the file size limit; raise ulimit -f",
    errno.EMFILE: "too many files are open; raise ulimit -n",
    errno.EADDRINUSE: "the address is in use; choose another port",
}


def _of_files(error: BaseException) -> Trouble | None:
    if not isinstance(error, OSError) or error.errno not in _WAYS:
        return None
    name = f"{error.filename}" if error.filename else error.strerror
    return Trouble(f"{name} cannot be used: {_WAYS[error.errno]}", "file_error", status=2)


_EXTRAS = {
    "train": "accelerate datasets gguf matplotlib peft tokenizers torch transformers trl",
    "server": "aiosqlite alembic fastapi prometheus_client psycopg pyarrow sqlalchemy uvicorn",
    "sim": "defusedxml libsumo ray",
    "verify": "sumo sumolib traci",
    "telemetry": "opentelemetry",
    "gpu": "bitsandbytes unsloth unsloth_zoo vllm",
}


def _of_packages(error: BaseException) -> Trouble | None:
    if isinstance(error, ModuleNotFoundError) and error.name:
        package = error.name.partition(".")[0]
        extra = next((one for one, names in _EXTRAS.items() if package in names.split()), None)
        wanted = f"'greenfork[{extra}]'" if extra else package
        said = f"the package {package} is not installed: pip install {wanted}"
        return Trouble(said, "missing_package", status=2)
    if isinstance(error, ImportError):
        return Trouble(
            f"a package cannot be loaded ({_said(error)}): install the versions in constraints.txt",
            "missing_package",
            status=2,
        )
    return None


@dataclass(frozen=True)
class _Known:
    """Errors of others that are told at a glance."""

    is_it: Callable[[BaseException], bool]
    code: str
    message: str
    """A format of the error."""
    status: int = 2

    def __call__(self, error: BaseException) -> Trouble | None:
        if not self.is_it(error):
            return None
        return Trouble(self.message.format(_said(error)), self.code, self.status)


def _says(error: BaseException, *texts: str) -> bool:
    return any(text in str(error) for text in texts)


_JUDGES: tuple[Callable[[BaseException], Trouble | None], ...] = (
    _Known(
        lambda error: (
            isinstance(error, MemoryError)
            or _is_a(error, "torch.OutOfMemoryError")
            or _says(error, "out of memory", "can't allocate memory")
        ),
        "out_of_memory",
        "out of memory: lower batch_size, max_seq_length or max_new_tokens, and raise "
        "gradient_accumulation_steps to compensate",
        status=1,
    ),
    _of_full_disk,
    _of_files,
    _of_packages,
    _Known(
        lambda error: _is_a(error, "jinja2.TemplateError"),
        "chat_template",
        "the model's chat template refuses the messages ({}): see chat_template.jinja in its "
        "folder",
    ),
    _Known(
        lambda error: _is_a(error, "pyarrow.ArrowException", "datasets.DatasetsError"),
        "not_a_dataset",
        "the rows do not make a table ({}): the values of a column must have one type",
    ),
    _Known(
        lambda error: (type(error).__module__ or "").partition(".")[0] == "wandb",
        "tracker",
        "wandb failed ({}): run wandb login, or set WANDB_MODE=offline or report_to: none",
    ),
    _Known(
        lambda error: (
            _is_a(error, "safetensors.SafetensorError", "_pickle.UnpicklingError")
            or _says(error, "PytorchStreamReader failed")
        ),
        "torn_file",
        "a weights or checkpoint file is truncated or invalid ({}): copy it again, or resume from "
        "an earlier checkpoint",
    ),
    _Known(
        lambda error: any("tokeniz" in module for module in _modules(error)),
        "tokenizer",
        "the model's tokenizer cannot be used ({}): its folder needs tokenizer.json and "
        "tokenizer_config.json",
    ),
)
"""In order: what names its cause most surely goes first."""
