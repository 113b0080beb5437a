"""The Compose override for a GPU names what there is: services, targets, presets, versions."""

import re
import tomllib
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[3]


def _compose(name: str) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((ROOT / name).read_text())
    return found


def test_override_changes_services_that_there_are() -> None:
    """And gives the trainer one GPU, of an image that is built."""
    base, over = _compose("docker-compose.yml"), _compose("docker-compose.gpu.yml")
    assert set(over["services"]) <= set(base["services"])
    targets = re.findall(r"^FROM \S+ AS (\S+)", (ROOT / "deploy/Dockerfile").read_text(), re.M)
    assert {one["build"]["target"] for one in over["services"].values()} <= set(targets)
    trainer = over["services"]["trainer"]
    (device,) = trainer["deploy"]["resources"]["reservations"]["devices"]
    assert device == {"driver": "nvidia", "count": 1, "capabilities": ["gpu"]}


def test_override_starts_what_the_preset_needs() -> None:
    """A preset that exists, with the arguments that the CPU's trainer is given, too."""
    base, over = _compose("docker-compose.yml"), _compose("docker-compose.gpu.yml")
    command = over["services"]["trainer"]["command"]
    (preset,) = re.findall(r"GREENFORK_TRAIN_CONFIG:-([\w-]+)\}", " ".join(command))
    assert (ROOT / f"trainer/configs/{preset}.yaml").is_file()
    kept = [one for one in base["services"]["trainer"]["command"] if "--config" not in one]
    assert set(kept) <= set(command)


def test_images_are_built_of_what_goes_to_the_engine() -> None:
    """Every file that the Dockerfile copies is let through; trackers are in both images."""
    dockerfile = (ROOT / "deploy/Dockerfile").read_text()
    allowed = (ROOT / ".dockerignore").read_text().splitlines()
    assert "!requirements-gpu.txt" in allowed
    assert dockerfile.count('pip install --quiet ".[trackers]"') == 2
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    named = {re.split("[<>=]", one)[0] for one in extras["optional-dependencies"]["trackers"]}
    assert named == {"tensorboard", "trackio", "wandb"}
