"""``python -m tests.page``: the tests in a browser, in an environment that has playwright."""

import os
import sys
from pathlib import Path

from tests.clients.environments import python_of

if __name__ == "__main__":
    here = Path(__file__).parent
    python = str(python_of(here / "browser.txt"))
    os.execv(python, [python, "-m", "pytest", "--durations", "5", str(here), *sys.argv[1:]])  # noqa: S606
