"""``python -m trainer``: see :mod:`trainer.command`."""

import sys

from trainer.command import run

__all__: list[str] = []

if __name__ == "__main__":
    sys.exit(run())
