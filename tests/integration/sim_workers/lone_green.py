"""Our grid, with one signal that has nothing to decide."""

import re
import shutil
from pathlib import Path

from tests.integration.conftest import OWN

LONE_GREEN = "A1"
"""The signal that shows a single green."""


def write_lone_green(folder: Path) -> Path:
    """Writes the scenario and returns its configuration."""
    source = OWN["grid2x2"].parent
    text = (source / "grid2x2.net.xml").read_text()
    start = text.index(f'<tlLogic id="{LONE_GREEN}"')
    end = text.index("</tlLogic>", start)
    links = len(re.findall(r'state="([^"]*)"', text[start:end])[0])
    logic = f'<tlLogic id="{LONE_GREEN}" type="static" programID="0" offset="0">'
    phase = f'<phase duration="90" state="{"G" * links}"/>'
    (folder / "grid2x2.net.xml").write_text(text[:start] + logic + phase + text[end:])
    shutil.copy(source / "grid2x2.rou.xml", folder)
    return Path(shutil.copy(OWN["grid2x2"], folder))
