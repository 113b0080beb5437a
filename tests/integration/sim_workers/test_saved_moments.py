"""A moment of an episode is saved only if a replay comes to it, and goes on as it does."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from shared.errors import InvalidRequest, RolloutRejected
from sim_workers.pool.episodes.messages import EpisodeOrigin
from sim_workers.pool.episodes.saving import save_moment
from tests.integration.conftest import OWN
from tests.integration.sim_workers.driving import Stage, decide_by_coin, drive, on_stage
from tests.integration.sim_workers.test_episodes import YELLOW

_NAME = "crossing.rou.xml"
_MOMENT_S = 50


def _demand(turns_at_s: int | None = None) -> str:
    """A vehicle every four seconds; one of them turns elsewhere."""
    routes = {"straight": "w_in e_out", "turning": "w_in n_out"}
    lines = [f'<route id="{name}" edges="{edges}"/>' for name, edges in routes.items()]
    for depart_s in range(0, 120, 4):
        route = "turning" if depart_s == turns_at_s else "straight"
        lines.append(f'<vehicle id="{depart_s}" depart="{depart_s}" route="{route}"/>')
    return f"<routes>{''.join(lines)}</routes>"


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """The crossing with vehicles that are told one by one."""
    folder = tmp_path_factory.mktemp("saved") / "crossing"
    shutil.copytree(Path(OWN["crossing"]).parent, folder)
    (folder / _NAME).write_text(_demand())
    with on_stage(str(folder / "crossing.sumocfg")) as stage:
        yield stage


@pytest.mark.parametrize("turns_at_s", [None, 8, _MOMENT_S + 10])
def test_what_a_replay_does_not_come_to_is_not_saved(
    turns_at_s: int | None, stage: Stage, tmp_path: Path
) -> None:
    """Be it another moment, or only another minute after it."""
    config = Path(stage.opening.config)
    replayed = shutil.copytree(config.parent, tmp_path / "replayed")
    (demand,) = (path for path in replayed.iterdir() if b"<vehicle " in path.read_bytes())
    demand.write_text(_demand(turns_at_s))
    opening = stage.opening.model_copy(update={"config": str(replayed / config.name)})
    with stage.start(600, control=YELLOW) as episode:
        drive(episode, decide_by_coin(1), to_step=_MOMENT_S // 10)
        origin = EpisodeOrigin(episode.spec, (), stage.scenario.scenario_id, None)
        if turns_at_s is None:
            saved = save_moment(stage.fork_server, opening, episode, origin, tmp_path / "draft")
            assert saved.time_s == _MOMENT_S
        else:
            with pytest.raises(RolloutRejected, match="differs") as refused:
                save_moment(stage.fork_server, opening, episode, origin, tmp_path / "draft")
            assert refused.value.code == "not_reproducible"


def test_an_episode_under_other_programs_is_not_saved(stage: Stage, tmp_path: Path) -> None:
    """The states of its scenario continue under the network's own."""
    with stage.start(600, control=YELLOW, program="actuated") as episode:
        origin = EpisodeOrigin(episode.spec, (), stage.scenario.scenario_id, None)
        with pytest.raises(InvalidRequest) as refused:
            save_moment(stage.fork_server, stage.opening, episode, origin, tmp_path / "draft")
    assert refused.value.code == "other_programs"
