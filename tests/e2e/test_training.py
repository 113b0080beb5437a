"""``docker compose --profile train up --build`` on a machine without prepared wheels."""

import json
import math
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.e2e.deployment import PROJECT, ROOT, WORKERS, Deployment, need_engine, run
from tests.e2e.wheel_index import PASSWORD, WheelIndex, fetch_wheel, serve_wheel

pytestmark = pytest.mark.docker

STEPS = 2
WITHOUT_INDEX = {"PIP_EXTRA_INDEX_URL", "PIP_NO_INDEX"}


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WheelIndex]:
    """An index that has torch for CPUs, in the version that the trainer takes."""
    folder = tmp_path_factory.mktemp("wheels")
    (requirement,) = re.findall('ARG TORCH="(.+)"', (ROOT / "deploy/Dockerfile").read_text())
    try:
        wheel = fetch_wheel(requirement, folder)
    except subprocess.CalledProcessError:
        pytest.fail(
            f"needs the wheel of {requirement}: name the index or folder that has it in"
            " PIP_EXTRA_INDEX_URL or PIP_FIND_LINKS",
            pytrace=False,
        )
    with serve_wheel(wheel) as index:
        yield index
    shutil.rmtree(folder)


def test_a_training_is_built_with_torch_of_the_named_index_and_ends_well(
    deployment: Deployment, index: WheelIndex, tmp_path: Path
) -> None:
    """The wheel comes by HTTP, the rewards of a few steps from the service; then it exits 0."""
    files = ["--file", "docker-compose.yml", "--file", str(_few_steps(tmp_path))]
    variables = {"PIP_EXTRA_INDEX_URL": index.url, "GREENFORK_TRAIN_CONFIG": "/few-steps.yaml"}

    rollouts = deployment.metric("greenfork_rollouts_total")
    said = deployment.compose(
        *(*files, "--profile", "train", "up", "--build", "--detach"),
        *("--scale", f"sim-worker={WORKERS}"),
        variables=variables,
        timeout_s=900,
    )
    assert index.served[:2] == ["/simple/torch/", f"/files/{index.wheel.name}"]
    trainer = f"{PROJECT}-trainer-1"
    status = run(["docker", "wait", trainer], timeout_s=600).strip()

    assert status == "0", run(["docker", "logs", trainer])
    run(["docker", "cp", f"{trainer}:/runs/grpo", str(tmp_path)])
    lines = (tmp_path / "grpo/metrics.jsonl").read_text().splitlines()
    losses = [step["loss"] for step in map(json.loads, lines) if "loss" in step]
    assert len(losses) == STEPS
    assert all(math.isfinite(loss) for loss in losses)
    assert (tmp_path / "grpo/adapter/adapter_model.safetensors").stat().st_size > 0
    assert deployment.metric("greenfork_rollouts_total") > rollouts
    # The password of the index is left nowhere.
    image = run(["docker", "image", "inspect", "greenfork-trainer"])
    layers = run(["docker", "history", "--no-trunc", "greenfork-trainer"])
    assert PASSWORD not in said + image + layers


def _few_steps(folder: Path) -> Path:
    """A Compose file that lets the build see this machine's index, and the preset in few steps."""
    preset = yaml.safe_load((ROOT / "trainer/configs/cpu-demo.yaml").read_text())
    # A horizon that no other test of the project asks for, so that there is something to simulate.
    own = {"max_steps": STEPS, "save_steps": STEPS, "horizon_s": 34}
    settings = folder / "few-steps.yaml"
    settings.write_text(yaml.safe_dump(preset | own))
    volume = f"{settings}:/few-steps.yaml:ro"
    services = {
        # Whatever an earlier build kept, this one asks the index.
        "torch": {"build": {"network": "host", "no_cache": True}},
        "trainer": {
            "build": {"network": "host"},
            "volumes": [volume],
            # Threads of torch that wait for each other are slow where others want the cores.
            "environment": {"OMP_NUM_THREADS": "1"},
        },
    }
    path = folder / "compose.yaml"
    path.write_text(yaml.safe_dump({"services": services}))
    return path


def test_without_an_index_the_build_stops_before_anything_large_is_fetched(tmp_path: Path) -> None:
    """One line says what is missing and what to run; nothing is installed, and nothing starts."""
    need_engine()
    checkout = tmp_path / "checkout"
    kept = shutil.ignore_patterns(".git", ".env", ".venv", ".*_cache", "*.whl", "runs", "datasets")
    shutil.copytree(ROOT, checkout, ignore=kept)
    command = ["docker", "compose", "--project-name", f"{PROJECT}-early", "--progress", "plain"]

    done = subprocess.run(
        [*command, "--profile", "train", "up", "--build"],
        cwd=checkout,
        env={name: value for name, value in os.environ.items() if name not in WITHOUT_INDEX},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=120,
        check=False,
    )

    assert done.returncode != 0, done.stdout
    # Docker says it in the step, and again at the end.
    lines = set(re.findall(r"The trainer needs .*", done.stdout))
    assert len(lines) == 1, done.stdout
    assert "PIP_EXTRA_INDEX_URL=URL docker compose --profile train up --build" in lines.pop()
    assert "ERROR: Could not find" not in done.stdout
    assert "pip install" not in done.stdout, "packages were installed first"
    assert "apt-get" not in done.stdout, "packages were installed first"
    filters = ["--filter", f"label=com.docker.compose.project={PROJECT}-early"]
    assert run(["docker", "ps", "--all", "--quiet", *filters]) == ""
