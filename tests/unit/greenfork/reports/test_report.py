"""``greenfork report``: one file that needs nothing else, whatever stands in the data."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from greenfork.main import commands
from greenfork.reports.page import Curve, Interval, Sample, Section, Table, page_of
from greenfork.reports.sections import section_of
from shared.errors import InputError

HOSTILE = '</script><script>alert(1)</script><!-- "'
EVALUATION: dict[str, Any] = {
    "reward": "queue",
    "horizon_s": 60,
    "points": 12,
    "runs": 3,
    "level": 0.95,
    "policies": [
        {
            "policy": "oracle",
            "overall": {"regret_veh_invalid_worst": {"value": 0.5, "low": 0.25, "high": 0.75}},
        }
    ],
}
CONTROL: dict[str, Any] = {
    "scenario": "crossing",
    "protocol": "resco",
    "controllers": [
        {
            "name": "fixed",
            "delay_median_s": 31.25,
            "delay_mean_s": 30.5,
            "delay_half_width_s": 2.25,
            "curves": {
                "begin_s": 0,
                "step_s": 60,
                "seeds": 2,
                "queue_veh": {"median": [1.5, 3.0], "low": [1.0, 2.0], "high": [2.0, 4.0]},
                "delay_s": [float(n) for n in range(21)],
            },
            "gridlocked": 0,
            "episodes": [
                {"seed": 1, "figures": {"delay_s": 31.25}},
                {"seed": 2, "figures": None, "error": {"code": "worker_lost"}},
            ],
        }
    ],
}


def data_of(page: str) -> dict[str, Any]:
    """What a page holds."""
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.DOTALL)
    assert found is not None
    data: dict[str, Any] = json.loads(found[1])
    return data


def make_run(folder: Path) -> Path:
    """A run of three steps, the last of which was cut off while it was written."""
    lines = [{"step": 1, "reward": -3.0, "invalid/no_json": 0.5}, {"step": 2, "reward": -1.5}]
    text = "".join(f"{json.dumps(line)}\n" for line in lines) + '{"step": 3, "rew'
    (folder / "metrics.jsonl").write_text(text)
    (folder / "config.yaml").write_text("seed: 7\nmodel_path: small\n")
    return folder


def test_run(tmp_path: Path) -> None:
    """Curves by step, invalid answers by code, settings."""
    section = section_of(make_run(tmp_path))
    (reward,) = section.charts
    assert (reward.title, reward.series[0].values) == ("Reward", [-3.0, -1.5])
    assert (reward.begin, reward.step) == (1, 1)
    invalid, settings = section.tables
    assert list(invalid.rows) == [["no_json", "50.0%", "50.0%"]]
    assert list(settings.rows) == [["model_path", '"small"'], ["seed", "7"]]
    assert ("Reward at the end", "-1.5") in section.figures


def test_samples_of_a_run(tmp_path: Path) -> None:
    """Prompts and answers by step, with what became of them."""
    sample = {"step": 2, "prompt": [{"role": "user", "content": "?"}], "answer": "hm"}
    line = json.dumps(sample | {"status": "invalid", "reward": -1.0})
    (make_run(tmp_path) / "samples.jsonl").write_text(line + "\n")
    assert section_of(tmp_path).samples == [
        Sample(2, [{"role": "user", "content": "?"}], "hm", "invalid", -1.0)
    ]


@pytest.mark.parametrize(
    ("result", "row"),
    [
        (EVALUATION, ["oracle", "0.500 [0.250, 0.750]", "–", "–"]),
        (CONTROL, ["fixed", "31.25", "30.50", "2.25", "–", "–", "0", "–"]),
    ],
    ids=["evaluation", "control"],
)
def test_results(tmp_path: Path, result: dict[str, Any], row: list[str]) -> None:
    """What is not known is a dash, and never a number."""
    path = tmp_path / "result.json"
    path.write_text(json.dumps(result))
    assert section_of(path).tables[0].rows[0] == row


def test_control_is_drawn(tmp_path: Path) -> None:
    """Queues with the range over the seeds, delays by share of the vehicles, and intervals."""
    path = tmp_path / "result.json"
    path.write_text(json.dumps(CONTROL))
    section = section_of(path)
    queue, delay = section.charts
    assert queue.series == [Curve("fixed", [1.5, 3.0], [1.0, 2.0], [2.0, 4.0])]
    assert (len(delay.series[0].values), delay.step) == (21, 5)
    (mean,) = section.intervals
    assert mean.rows == [Interval("fixed", 30.5, 28.25, 32.75)]


def test_evaluation_is_drawn(tmp_path: Path) -> None:
    """Each figure that has an interval; a policy without one is in the table only."""
    more = {"policy": "unknown", "overall": {"regret_veh_invalid_worst": {"value": 1.0}}}
    path = tmp_path / "result.json"
    path.write_text(json.dumps(EVALUATION | {"policies": [*EVALUATION["policies"], more]}))
    (regret,) = section_of(path).intervals
    assert regret.title == "Regret, vehicles"
    assert regret.rows == [Interval("oracle", 0.5, 0.25, 0.75)]


def test_results_of_earlier_releases_have_no_curves(tmp_path: Path) -> None:
    """They are told as far as they go."""
    controller = {"name": "fixed", "episodes": []}
    path = tmp_path / "result.json"
    path.write_text(json.dumps(CONTROL | {"controllers": [controller]}))
    section = section_of(path)
    assert (section.charts, section.intervals) == ([], [])


@pytest.mark.parametrize("text", ["[]", "{}", "{", ""])
def test_what_is_no_result_is_refused(tmp_path: Path, text: str) -> None:
    """With the way out."""
    path = tmp_path / "result.json"
    path.write_text(text)
    with pytest.raises(InputError, match=r"no result: give|cannot read"):
        section_of(path)


def test_an_empty_folder_is_no_run(tmp_path: Path) -> None:
    """The missing file is named."""
    with pytest.raises(InputError, match=r"metrics\.jsonl"):
        section_of(tmp_path)


def test_page_needs_nothing_else() -> None:
    """No address, no import, no file beside it; and a policy that would refuse them."""
    page = page_of("A", "now", [Section("B")])
    assert re.findall(r"""(?:src|href)=["']|^import |^export """, page, re.MULTILINE) == []
    assert "default-src 'none'" in page


def test_hostile_texts_stay_data() -> None:
    """No text can end the element that it stands in, not even the title's."""
    table = Table(HOSTILE, [HOSTILE], [[HOSTILE]])
    sample = Sample(1, [{"role": "user", "content": HOSTILE}], HOSTILE, "scored", None)
    page = page_of(HOSTILE, HOSTILE, [Section(HOSTILE, tables=[table], samples=[sample])])
    assert "alert(1)</script>" not in page
    assert page.count("<script") == 2
    assert data_of(page)["sections"][0]["tables"][0]["rows"] == [[HOSTILE]]


def test_command(tmp_path: Path) -> None:
    """Several results make one page."""
    (tmp_path / "control.json").write_text(json.dumps(CONTROL))
    out = tmp_path / "new" / "page.html"
    given = [str(make_run(tmp_path)), str(tmp_path / "control.json"), "--out", str(out), "--json"]
    done = CliRunner().invoke(commands, ["report", *given])
    assert done.exit_code == 0, done.output
    titles = [section["title"] for section in data_of(out.read_text())["sections"]]
    assert titles == [f"Training: {tmp_path.name}", "Control: control"]
