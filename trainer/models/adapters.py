"""Finds the base model of an adapter by its weights, even if it has moved.

Every adapter of ours comes with ``base.json``: a digest of its base model, and the path of it. A
path alone could be a different model on another machine.
"""

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import structlog

from shared.errors import ModelError
from trainer.environment import cache_dir
from trainer.models.smollm2 import MODEL_NAME, prepare_smollm2
from trainer.records import Record, read_json

__all__ = ["AdapterBase", "find_base", "fingerprint", "is_adapter", "record_base"]

_CHUNKS, _CHUNK_BYTES = 64, 65_536
_PARENTS, _MOST_FOLDERS = 2, 500

log = structlog.get_logger(__name__)


class AdapterBase(Record):
    """The base model of an adapter."""

    file_name: ClassVar[str] = "base.json"

    fingerprint: str
    path: str
    """Absolute path of the model when the adapter was saved."""


def is_adapter(folder: Path) -> bool:
    """Whether a folder contains an adapter instead of a full model."""
    return (folder / "adapter_config.json").is_file()


def fingerprint(folder: Path) -> str:
    """Identifies a model by its weights: a hash of samples from each file, and of file sizes.

    For an adapter, the base model is included. A gigabyte takes milliseconds, because at most 4 MiB
    per file are read; training changes weights everywhere.
    """
    digest = hashlib.sha256()
    for file in sorted([*folder.glob("*.safetensors"), *folder.glob("*.bin")]):
        size = file.stat().st_size
        digest.update(f"{size}\n".encode())
        with file.open("rb") as weights:
            for piece in range(_CHUNKS):
                weights.seek(max(0, size - _CHUNK_BYTES) * piece // (_CHUNKS - 1))
                digest.update(weights.read(_CHUNK_BYTES))
    if (under := _fingerprint_under(folder)) is not None:
        digest.update(under.encode())
    return digest.hexdigest()[:16]


def _fingerprint_under(folder: Path) -> str | None:
    if (record := AdapterBase.read(folder)) is not None:
        return record.fingerprint
    base = Path(_named_base(folder))
    return fingerprint(base) if base.name and base.is_dir() else None


def record_base(adapter: Path) -> None:
    """Writes ``base.json`` next to an adapter; does nothing for a full model.

    Args:
        adapter: As PEFT saved it on this machine, with the path of the base model.
    """
    base = Path(_named_base(adapter))
    if not is_adapter(adapter) or not base.name or not base.is_dir():
        return
    AdapterBase(fingerprint=fingerprint(base), path=str(base.resolve())).write(adapter)


def find_base(adapter: Path, named: str | None = None) -> Path:
    """The folder of an adapter's base model.

    This is the named folder; or the original path; or a model with the same digest near the
    adapter, in the current folder, or among the prepared models.

    Args:
        adapter: The adapter's folder.
        named: The setting ``base_path``, or ``--base``.

    Raises:
        ModelError: There is none, or the named one is a different model.
    """
    record = AdapterBase.read(adapter)
    if named is not None:
        return _checked(adapter, prepare_smollm2() if named == MODEL_NAME else Path(named), record)
    was = _named_base(adapter)
    if record is None:
        if Path(was).is_absolute() and Path(was).is_dir():
            return Path(was)
        raise ModelError(
            f"the adapter {adapter} was trained on {was!r}, which "
            + ("does not exist" if Path(was).is_absolute() else "may be a different model here")
            + "; pass its base model with --base"
        )
    for place in (Path(record.path), Path(was)):
        if _is_model(place) and fingerprint(place) == record.fingerprint:
            return place
    for place in _nearby(adapter):
        if fingerprint(place) == record.fingerprint:
            log.info("found the base model of an adapter by its digest", model=str(place))
            return place
    raise ModelError(
        f"the adapter {adapter} was trained on the model of {record.path} (digest "
        f"{record.fingerprint}), which is neither there nor near the adapter any more; pass it "
        "with --base"
    )


def _checked(adapter: Path, base: Path, record: AdapterBase | None) -> Path:
    if not _is_model(base):
        raise ModelError(f"--base {base} contains no model: no config.json")
    if record is not None and fingerprint(base) != record.fingerprint:
        raise ModelError(
            f"the adapter {adapter} was not trained on --base {base}, but on the model of "
            f"{record.path}, whose digest is {record.fingerprint}"
        )
    return base


def _nearby(adapter: Path) -> Iterator[Path]:
    """Folders with models near the adapter and the current folder, two levels deep, nearest
    first.
    """
    here = [adapter.resolve(), *adapter.resolve().parents[:_PARENTS], Path.cwd()]
    roots = [root for root in (*here, cache_dir() / "models") if root != Path(root.anchor)]
    seen: set[Path] = set()
    for root in roots:
        for pattern in ("config.json", "*/config.json", "*/*/config.json"):
            for file in root.glob(pattern):
                if file.parent not in seen and len(seen) < _MOST_FOLDERS:
                    seen.add(file.parent)
                    yield file.parent


def _is_model(folder: Path) -> bool:
    return (folder / "config.json").is_file()


def _named_base(adapter: Path) -> str:
    """The base model's path as PEFT saved it; empty if there is none."""
    name = read_json(adapter / "adapter_config.json").get("base_model_name_or_path")
    return name if isinstance(name, str) else ""
