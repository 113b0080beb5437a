"""Which model an adapter belongs on: told apart by its weights, wherever it lies by now.

Beside every adapter of ours stands ``base.json``: a digest of the model under it, and where that
was. A path alone would be another model in another folder, or on another machine.
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
    """The model under an adapter."""

    file_name: ClassVar[str] = "base.json"

    fingerprint: str
    path: str
    """Where it was, from the root of the file system."""


def is_adapter(folder: Path) -> bool:
    """Whether a folder holds an adapter, and no whole model."""
    return (folder / "adapter_config.json").is_file()


def fingerprint(folder: Path) -> str:
    """Tells models apart by their weights: a hash of pieces spread over each file, and of sizes.

    Of an adapter, the model under it counts as well. A gigabyte takes milliseconds, for 4 MiB of a
    file are read at most; any training changes weights all over.
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
    """Writes beside an adapter which model it is on; does nothing for a whole model.

    Args:
        adapter: As PEFT saved it, on this machine, with the path of the model.
    """
    base = Path(_named_base(adapter))
    if not is_adapter(adapter) or not base.name or not base.is_dir():
        return
    AdapterBase(fingerprint=fingerprint(base), path=str(base.resolve())).write(adapter)


def find_base(adapter: Path, named: str | None = None) -> Path:
    """The folder of the model under an adapter.

    That is the one that is named; or the one that lies where it was; or one of the same digest
    near the adapter, in the folder of today, or among the prepared models.

    Args:
        adapter: The adapter's folder.
        named: The setting ``base_path``, or ``--base``.

    Raises:
        ModelError: There is none, or what is named is another one.
    """
    record = AdapterBase.read(adapter)
    if named is not None:
        return _checked(adapter, prepare_smollm2() if named == MODEL_NAME else Path(named), record)
    was = _named_base(adapter)
    if record is None:
        if Path(was).is_absolute() and Path(was).is_dir():
            return Path(was)
        raise ModelError(
            f"the adapter {adapter} is on top of {was!r}, which "
            + ("is not there" if Path(was).is_absolute() else "may be another model here")
            + "; name the model that it was trained on with --base"
        )
    for place in (Path(record.path), Path(was)):
        if _is_model(place) and fingerprint(place) == record.fingerprint:
            return place
    for place in _nearby(adapter):
        if fingerprint(place) == record.fingerprint:
            log.info("found the model under an adapter by its digest", model=str(place))
            return place
    raise ModelError(
        f"the adapter {adapter} was trained on the model of {record.path} (digest "
        f"{record.fingerprint}), which is not there any more, nor near the adapter; name it with "
        "--base"
    )


def _checked(adapter: Path, base: Path, record: AdapterBase | None) -> Path:
    if not _is_model(base):
        raise ModelError(f"--base {base} holds no model: no config.json")
    if record is not None and fingerprint(base) != record.fingerprint:
        raise ModelError(
            f"the adapter {adapter} was not trained on --base {base}, but on the model of "
            f"{record.path}, whose digest is {record.fingerprint}"
        )
    return base


def _nearby(adapter: Path) -> Iterator[Path]:
    """Folders with models: around the adapter and here, two folders deep, the nearest first."""
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
    """What PEFT wrote down: the path as it was given; empty where there is none."""
    name = read_json(adapter / "adapter_config.json").get("base_model_name_or_path")
    return name if isinstance(name, str) else ""
