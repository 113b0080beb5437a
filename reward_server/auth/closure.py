"""Records outside the database that a service has ever had API keys.

A database may be lost, emptied, or taken from elsewhere. A service that once had keys must not let
everybody in after that, so a file in the data directory records it, whatever the database says.
"""

from pathlib import Path

__all__ = ["Closure"]

_NAME = "keys-needed"
_TEXT = """\
This service has had API keys, so it refuses every request without one, whatever its database says.
Remove this file, with the gateway stopped, only if everyone who can reach the service may use it.
"""


class Closure:
    """The mark in a data directory.

    Args:
        data_dir: The service's data directory.
    """

    def __init__(self, data_dir: Path) -> None:
        self.path = data_dir / _NAME

    def is_set(self) -> bool:
        """Whether there has been a key here; True if that cannot be determined."""
        try:
            return self.path.exists()
        except OSError:
            return True

    def set(self) -> None:
        """Records that there is a key; does nothing without a data directory.

        Raises:
            OSError: It cannot be written.
        """
        if self.path.parent.is_dir() and not self.is_set():
            self.path.touch(mode=0o600)
            self.path.write_text(_TEXT)
