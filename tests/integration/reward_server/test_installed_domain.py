"""The example of a third domain, installed as a package is."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

_EXAMPLE = Path(__file__).parents[3] / "examples" / "domain"
_USE = """
import json, sys
from importlib import import_module
from pathlib import Path
from reward_server.domains.registry import domain_kinds, open_domains, parted
from shared.rewards import RewardSpec

kinds = domain_kinds()
folders = parted([Path(sys.argv[1])], kinds)
sums = next(d for d in open_domains(folders, kinds, Path(sys.argv[1])) if d.name == "sums")
task = sums.task("large", "400")
module, _, kind = task.performer.partition(":")
metrics = getattr(import_module(module), kind)().perform(task.work, 1.0)
spec = RewardSpec(name="sums.close")
known = [view.problem_id for view in sums.problems()]
print(json.dumps({"kinds": sorted(kinds), "folders": len(folders["sums"]), "problems": known,
    "reward": sums.reward(spec, metrics)}))
"""


def test_a_package_adds_a_domain(tmp_path: Path) -> None:
    """Its entry point is found, its folder is claimed, and its answers are scored."""
    source, target = tmp_path / "source", tmp_path / "target"
    shutil.copytree(_EXAMPLE, source)
    install = ["-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--no-build-isolation"]
    command = [sys.executable, *install, "--target", str(target), str(source)]
    subprocess.run(command, check=True, capture_output=True, timeout=300)
    served = tmp_path / "data"
    served.mkdir()
    (served / "sums.json").write_text(json.dumps({"small": [1, 2], "large": [400, 7]}))
    paths = os.pathsep.join([str(target), *filter(None, sys.path)])
    said = subprocess.run(
        [sys.executable, "-c", _USE, str(served)],
        check=True,
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": paths},
        timeout=120,
    )
    assert json.loads(said.stdout.splitlines()[-1]) == {
        "kinds": ["planning", "sums"],
        "folders": 1,
        "problems": ["large", "small"],
        "reward": -7.0,
    }
