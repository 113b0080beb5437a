"""Files of a small scenario, as they are uploaded."""

import io
import zipfile

from tests.integration.conftest import OWN

__all__ = ["CROSSING", "crossing_files", "zip_of"]

CROSSING = OWN["crossing"]


def zip_of(files: dict[str, bytes]) -> bytes:
    """A zip of files."""
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as packed:
        for name, content in files.items():
            packed.writestr(name, content)
    return archive.getvalue()


def crossing_files() -> dict[str, bytes]:
    """The files of a small scenario."""
    return {path.name: path.read_bytes() for path in CROSSING.parent.iterdir() if path.is_file()}
