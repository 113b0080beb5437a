"""What was renamed in 0.2: an import of the old name fails and names the new one."""

import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType

__all__ = ["name_moved_modules"]

_TABLE = Path(__file__).with_name("moved.txt")
"""Old and new name, one pair per line; a package is named once, for all in it. Of modules that are
packages now, what they held."""


class _MovedModules(MetaPathFinder):
    """Asked last, when a module was found nowhere."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Finds nothing.

        Raises:
            ModuleNotFoundError: It has another name now.
        """
        if fullname.partition(".")[0] not in {"reward_server", "shared", "sim_workers", "trainer"}:
            return None
        moved = dict(line.split() for line in _TABLE.read_text().splitlines())
        now = moved.get(fullname)
        if now is None:
            return None
        # Under the old name, ``from package import name`` would take it for a plain attribute.
        raise ModuleNotFoundError(f"{fullname} is now {now}", name=now)


def name_moved_modules() -> None:
    """From now on, failing imports say what became of a module."""
    if not any(isinstance(finder, _MovedModules) for finder in sys.meta_path):
        sys.meta_path.append(_MovedModules())
