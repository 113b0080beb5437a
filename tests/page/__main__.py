"""``python -m tests.page``: the tests in a browser, in an environment that has playwright.

With ``--if-browser`` first, a machine without chromium skips them and says so.
"""

import os
import shutil
import sys
from pathlib import Path

from tests.clients.environments import python_of

_OPTIONAL = "--if-browser"


def main(arguments: list[str]) -> None:
    """Becomes pytest, or ends where there is no browser."""
    is_optional = arguments[:1] == [_OPTIONAL]
    if shutil.which("chromium") is None:
        said = "skipped" if is_optional else "not run"
        sys.stderr.write(
            f"tests/page: {said}, there is no chromium on this machine; "
            "apt-get install chromium, and run make page again\n"
        )
        raise SystemExit(0 if is_optional else 1)
    here = Path(__file__).parent
    python = str(python_of(here / "browser.txt"))
    given = arguments[is_optional:]
    os.execv(python, [python, "-m", "pytest", "--durations", "5", str(here), *given])  # noqa: S606


if __name__ == "__main__":
    main(sys.argv[1:])
