"""Candidates of a moment come to the same, forked or in a process that is put back."""

import contextlib
import os
import random
import signal
import struct
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Literal, get_args

import pytest

from shared.decisions import NextPhase
from shared.rewards import FollowUp
from shared.signals import SignalState
from shared.wire.episodes import EpisodeDecision, PhaseControl, ShowPhase
from sim_workers.engine.episodes.messages import PhaseRule
from sim_workers.engine.messages import Look, Rollout, RolloutOutcome, Seen, SignalDecision
from sim_workers.episodes.episode import Episode
from sim_workers.episodes.figures import trip_elements
from tests.integration.conftest import OWN
from tests.integration.sim_workers.driving import Stage, decide_by_coin, drive, on_stage
from tests.integration.sim_workers.process_tree import children, wait_for
from tests.integration.sim_workers.test_episodes import CLEARANCE, EXTEND, YELLOW
from tests.kernel import CAN_RESTORE

Candidates = Sequence[dict[str, EpisodeDecision]]
_MANY = 16
_LIMIT_S = 120.0
_needs_restoring = pytest.mark.skipif(not CAN_RESTORE, reason="the kernel refuses userfaultfd")


@pytest.fixture(scope="module")
def grid() -> Iterator[Stage]:
    """Four signals, whose demand is drawn while it is read."""
    with on_stage(str(OWN["grid2x2"])) as stage:
        yield stage


@pytest.fixture
def episode(grid: Stage) -> Iterator[Episode]:
    """One that restores many candidates at a moment."""
    with grid.start(600, control=YELLOW) as episode:
        drive(episode, decide_by_coin(1), to_step=12)
        yield episode


def _candidates(episode: Episode, count: int = _MANY) -> Candidates:
    """Legal decisions, drawn for each signal."""
    coin = random.Random(episode.steps)
    return [
        {tls: coin.choice(seen.legal) for tls, seen in episode.seen.signals.items() if seen.legal}
        for _ in range(count)
    ]


def _forked(episode: Episode, candidates: Candidates, **how: Any) -> list[object]:  # noqa: ANN401
    """What forks say; two at once are never restored."""
    return list(episode.try_candidates(candidates, at_once=2, **how))


@_needs_restoring
@pytest.mark.parametrize(
    "control", [YELLOW, CLEARANCE, EXTEND], ids=["yellow", "program", "extend"]
)
@pytest.mark.parametrize("reference", [str(OWN["grid2x2"]), "resco:cologne1"])
def test_restored_candidates_equal_forks(reference: str, control: dict[str, Any]) -> None:
    """Delay and queue, to the bit, moment after moment and under every base policy."""
    with on_stage(reference) as stage, stage.start(600, control=control) as episode:
        drive(episode, decide_by_coin(1), to_step=12)
        for number, base in enumerate(get_args(PhaseRule)):
            candidates, how = _candidates(episode), {"horizon_s": 8 + 4 * number, "base": base}
            restored = list(episode.try_candidates(candidates, **how))
            assert restored == _forked(episode, candidates, **how)
            assert all(trial.delay_veh is not None for trial in restored)
            drive(episode, decide_by_coin(number), to_step=episode.steps + 1)
        assert (episode.trials.restored, episode.trials.checks) == (4 * _MANY, 4)


@_needs_restoring
def test_a_moment_is_expected_to_be_like_the_last(episode: Episode) -> None:
    """Candidates that come few by few, as look-ahead asks for them, are restored all the same."""
    for restored in (0, 14):
        for _ in range(7):
            few = _candidates(episode, 2)
            assert list(episode.try_candidates(few, 15)) == _forked(episode, few, horizon_s=15)
        assert episode.trials.restored >= restored
        drive(episode, decide_by_coin(2), to_step=episode.steps + 1)


def test_few_candidates_are_forked(episode: Episode) -> None:
    """Making a process that can be put back would cost more than it saves."""
    episode.try_candidates(_candidates(episode, 3), 15)
    assert episode.trials.restored == 0


@_needs_restoring
def test_an_illegal_candidate_is_restored_as_well(episode: Episode) -> None:
    """First or last of a moment: an error of its own, and the others are what they are."""
    illegal: dict[str, EpisodeDecision] = {next(iter(episode.steered)): ShowPhase(next_phase=99)}
    candidates: Candidates = [illegal, *_candidates(episode), illegal]
    found = list(episode.try_candidates(candidates, 20))
    assert found == _forked(episode, candidates, horizon_s=20)
    errors = [trial.error.code for trial in found if trial.error is not None]
    assert errors == ["unknown_phase", "unknown_phase"]


@_needs_restoring
def test_candidates_that_take_too_long_are_stopped(episode: Episode) -> None:
    """Each is an error; afterwards there are values again, and the same ones."""
    candidates = _candidates(episode)
    expected = _forked(episode, candidates, horizon_s=20)
    late = episode.try_candidates(candidates, 470, limit_s=0.05)
    assert {trial.error.code for trial in late if trial.error} == {"rollout_timeout"}
    assert len([trial for trial in late if trial.error]) >= _MANY - 1
    assert list(episode.try_candidates(candidates, 20)) == expected


@_needs_restoring
def test_a_candidate_whose_process_is_killed_is_forked(episode: Episode) -> None:
    """A crash costs a fork, and nobody else notices."""
    candidates = _candidates(episode, 30)
    expected = _forked(episode, candidates, horizon_s=100)
    with ThreadPoolExecutor(1) as thread:
        found = thread.submit(episode.try_candidates, candidates, 100)
        store = wait_for(lambda: _store(episode), "a restorable process")
        os.kill(int(str(store).split("/")[2]), signal.SIGKILL)
        assert list(found.result()) == expected
    assert episode.trials.restored > 0


@_needs_restoring
def test_a_fork_of_an_episode_restores_in_processes_of_its_own(episode: Episode) -> None:
    """Neither is disturbed when the other one ends."""
    candidates = _candidates(episode)
    expected = list(episode.try_candidates(candidates, 20))
    with episode.fork("other") as other:
        assert list(other.try_candidates(candidates, 20)) == expected
        assert other.trials.restored == _MANY
        before = [pid for pid in children(episode.pid) if pid != other.trials.handle.pid]
        episode.kill()
        wait_for(lambda: not any(map(_lives, before)), "the episode's processes to end")
        assert list(other.try_candidates(candidates, 20)) == expected


def _lives(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()


def _store(episode: Episode) -> Path | None:
    """The pages from which the restorable process of an episode is put back."""
    for pid in children(episode.pid):
        with contextlib.suppress(FileNotFoundError):  # it ends, or closes something
            for link in Path(f"/proc/{pid}/fd").iterdir():
                if "memfd:pristine" in str(link.readlink()) and link.stat().st_size > 2**20:
                    return link
    return None


def _move_a_vehicle(episode: Episode, seen: Seen) -> None:
    """Writes another position into the page that a moving vehicle is put back from."""
    places = [text for name, text in seen.things.items() if name.startswith("vehicle ")]
    moving = [text.strip("()").split(", ")[1:] for text in places]
    states = [struct.pack("<dd", float(at), float(v)) for at, v in moving if float(v) > 1]
    store = _store(episode)
    assert store is not None
    with store.open("r+b", buffering=0) as pages:
        content = pages.read()
        at = next(content.index(state) for state in states if state in content)
        pages.seek(at)
        pages.write(struct.pack("<d", struct.unpack_from("<d", content, at)[0] - 2))


@_needs_restoring
def test_a_corrupted_page_is_noticed(episode: Episode, capsys: pytest.CaptureFixture[str]) -> None:
    """The forks' values are given, it is told, and all are forks from then on."""
    candidates = _candidates(episode)
    episode.trials.check_every = _MANY + 1
    expected = _forked(episode, candidates, horizon_s=30)
    assert list(episode.try_candidates(candidates, 30)) == expected
    _move_a_vehicle(episode, episode.trials.handle.call(Look(in_full=True), Seen, _LIMIT_S))
    assert list(episode.try_candidates(candidates, 30)) == expected
    assert "restored_trial_differs" in "".join(capsys.readouterr())
    assert episode.trials.check_every is None
    before = episode.trials.restored
    assert list(episode.try_candidates(candidates, 30)) == expected
    assert episode.trials.restored == before


def _decided(
    episode: Episode, candidate: Mapping[str, EpisodeDecision]
) -> tuple[SignalDecision, ...]:
    """A candidate as decisions on a state of this moment, which last until the next interval."""
    assert isinstance(episode.spec.control, PhaseControl)
    found = []
    for tls_id, seen in episode.seen.signals.items():
        choice = candidate.get(tls_id)
        phase = choice.next_phase if isinstance(choice, ShowPhase) else seen.phase
        green_s = 10 if phase == seen.phase else 7
        decision = NextPhase(next_phase=phase, green_s=green_s)
        state = SignalState(
            program_id=episode.program_id(tls_id), phase=seen.phase, elapsed_s=seen.elapsed_s
        )
        signal, control = episode.steered[tls_id], episode.spec.control
        found.append(SignalDecision.of(tls_id, decision, signal, state, control))
    return tuple(found)


def _rolled(
    episode: Episode, candidate: Mapping[str, EpisodeDecision], rule: FollowUp
) -> float | None:
    """The delay after a decision on this moment, and a follow-up."""
    rollout = Rollout(
        signal_decisions=_decided(episode, candidate),
        observe=tuple(episode.steered),
        horizon_s=120,
        follow_up=rule,
        limit_s=_LIMIT_S,
    )
    return episode.handle.call(rollout, RolloutOutcome, _LIMIT_S).unwrap().delay_veh


def test_follow_ups_with_yellow_are_the_episodes_rules() -> None:
    """A decision on a moment that was saved goes on as the candidate does in the episode."""
    rules: tuple[Literal["greedy", "max_pressure"], ...] = ("greedy", "max_pressure")
    with on_stage(str(OWN["crossing"])) as stage, stage.start(600, control=YELLOW) as episode:
        drive(episode, decide_by_coin(1), to_step=12)
        candidates = _candidates(episode, 3)
        tried = {rule: episode.try_candidates(candidates, 120, base=rule) for rule in rules}
        assert tried["greedy"] != tried["max_pressure"]
        for rule, trials in tried.items():
            rolled = [_rolled(episode, candidate, rule) for candidate in candidates]
            assert rolled == [trial.delay_veh for trial in trials]


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """A crossing with five megabytes of demand, which SUMO reads as it goes on."""
    folder, crossing = tmp_path_factory.mktemp("large"), OWN["crossing"]
    for path in crossing.parent.iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    vehicles = (
        f'<vehicle id="v{n}" route="{("we", "ns")[n % 2]}" depart="{3 * n}">'
        f'<param key="said" value="{"-" * 25_000}"/></vehicle>\n'
        for n in range(200)
    )
    routes = '<route id="we" edges="w_in e_out"/><route id="ns" edges="n_in s_out"/>'
    demand = f"<routes>{routes}\n{''.join(vehicles)}</routes>"
    (folder / "crossing.rou.xml").write_text(demand)
    with on_stage(str(folder / crossing.name)) as stage:
        yield stage


@pytest.mark.parametrize(
    "count", [3, pytest.param(_MANY, marks=_needs_restoring)], ids=["forked", "restored"]
)
def test_candidates_read_demand_of_their_own(large: Stage, count: int) -> None:
    """They read megabytes ahead, and neither the episode nor the next candidate misses those."""
    with large.start(600, control=YELLOW) as alone:
        drive(alone, decide_by_coin(3))
        expected = alone.finish()
    with large.start(600, control=YELLOW) as episode:
        decide = decide_by_coin(3)
        drive(episode, decide, to_step=5)
        same: Candidates = [{}] * count
        trials = episode.try_candidates(same, horizon_s=400)
        assert trials == (trials[0],) * count
        assert (trials[0].error, bool(episode.trials.restored)) == (None, count == _MANY)
        drive(episode, decide)
        finished = episode.finish()
    assert finished.outputs.tripinfo.count(b"<tripinfo ") > 150
    assert trip_elements(finished.outputs.tripinfo) == trip_elements(expected.outputs.tripinfo)
