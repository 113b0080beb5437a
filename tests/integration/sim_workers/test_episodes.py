"""Whole episodes in real SUMO: repeated by plain SUMO, replayed, forked, tried at a moment."""

import os
import signal
from collections.abc import Iterator
from typing import Any

import pytest

from shared.errors import EpisodeConflict, HolderLost, InvalidRequest
from shared.wire.episodes import ShowPhase, StepRequest
from sim_workers.engine.messages import Replay
from sim_workers.engine.version import sumo_version
from sim_workers.episodes.episode import Episode
from sim_workers.episodes.figures import trip_elements
from sim_workers.episodes.record import EpisodeRecord
from sim_workers.verification.episode_replay import replay_episode
from sim_workers.verification.sumo_process import find_sumo
from tests.integration.conftest import OWN
from tests.integration.sim_workers.driving import SEED, Stage, decide_by_coin, drive, on_stage

YELLOW = {"kind": "phase", "transition": {"kind": "yellow", "yellow_s": 3}}
CLEARANCE = {"kind": "phase", "transition": {"kind": "program"}}
EXTEND = {"preset": "program"}
LENGTH_S = 300


@pytest.fixture(scope="module")
def grid() -> Iterator[Stage]:
    """Four signals, whose demand is drawn while it is read."""
    with on_stage(str(OWN["grid2x2"])) as stage:
        yield stage


@pytest.mark.parametrize(
    "control", [YELLOW, CLEARANCE, EXTEND], ids=["yellow", "program", "extend"]
)
@pytest.mark.parametrize("reference", [str(OWN["crossing"]), str(OWN["grid2x2"]), "resco:cologne1"])
def test_plain_sumo_repeats_an_episode(reference: str, control: dict[str, Any]) -> None:
    """What was told to the signals makes the same trips in plain SUMO, byte for byte."""
    with on_stage(reference) as stage:
        episode = stage.start(LENGTH_S, control=control)
        drive(episode, decide_by_coin(1))
        finished = episode.finish()
        original = stage.scenario.original
    assert original is not None
    plain = replay_episode(
        find_sumo(sumo_version()),
        original,
        ("--seed", str(SEED)),
        finished.actions,
        episode.spec.end_s,
    )
    ours = trip_elements(finished.outputs.tripinfo)
    assert len(ours) > 50
    assert len({action.call for action in finished.actions}) >= 1
    assert ours == trip_elements(plain)


def test_other_actions_make_other_trips(grid: Stage) -> None:
    """The proof can fail: without the last half of the actions plain SUMO shows other trips."""
    episode = grid.start(LENGTH_S, control=YELLOW)
    drive(episode, decide_by_coin(1))
    finished = episode.finish()
    original, half = grid.scenario.original, finished.actions[: len(finished.actions) // 2]
    assert original is not None
    run = ("--seed", str(SEED))
    plain = replay_episode(find_sumo(sumo_version()), original, run, half, episode.spec.end_s)
    assert trip_elements(finished.outputs.tripinfo) != trip_elements(plain)


@pytest.mark.parametrize(
    "control", [YELLOW, CLEARANCE, EXTEND], ids=["yellow", "program", "extend"]
)
def test_a_record_is_all_of_an_episode(grid: Stage, control: dict[str, Any]) -> None:
    """Written down in the middle, read again and gone on with, it ends with the same bytes."""
    decide = decide_by_coin(2)
    first = grid.start(LENGTH_S, control=control, observe=["features"])
    drive(first, decide, to_step=12)
    lines = first.record.to_lines().splitlines()
    again = Episode.replay(grid.fork_server, grid.opening, EpisodeRecord.from_lines(lines))
    assert again.answer == first.answer
    while not first.is_over:
        decisions = decide(first)
        for episode in (first, again):
            episode.step(StepRequest(step=episode.steps, decisions=decisions))
    ends = [episode.finish() for episode in (first, again)]
    assert trip_elements(ends[0].outputs.tripinfo) == trip_elements(ends[1].outputs.tripinfo)
    assert ends[0].figures == ends[1].figures
    assert ends[0].actions == ends[1].actions


def test_an_episode_outlives_its_process(grid: Stage) -> None:
    """Killed in the middle, it is an error and not a wrong answer; from its record it goes on."""
    undisturbed = grid.start(LENGTH_S, control=YELLOW)
    drive(undisturbed, decide_by_coin(6))
    expected = undisturbed.finish()
    decide = decide_by_coin(6)
    episode = grid.start(LENGTH_S, control=YELLOW)
    drive(episode, decide, to_step=14)
    os.kill(episode.pid, signal.SIGKILL)
    with pytest.raises(HolderLost):
        episode.step(StepRequest(step=14))
    episode.close()
    assert len(episode.record.steps) == 14
    again = Episode.replay(grid.fork_server, grid.opening, episode.record)
    drive(again, decide)
    finished = again.finish()
    assert trip_elements(finished.outputs.tripinfo) == trip_elements(expected.outputs.tripinfo)
    assert finished.figures == expected.figures


def test_an_episode_may_begin_within_a_run(grid: Stage) -> None:
    """After a replay of the run up to there; plain SUMO does the same from the run's begin."""
    begin_s = grid.scenario.begin_s + 100
    opening = grid.opening.model_copy(update={"replay": Replay(to_s=begin_s)})
    spec = grid.spec(LENGTH_S, control=YELLOW, begin_s=begin_s)
    episode = Episode.start(grid.fork_server, opening, spec)
    assert episode.answer.time_s == begin_s
    drive(episode, decide_by_coin(8))
    finished = episode.finish()
    original = grid.scenario.original
    assert original is not None
    run = ("--seed", str(SEED))
    sumo = find_sumo(sumo_version())
    plain = replay_episode(sumo, original, run, finished.actions, spec.end_s)
    assert min(action.time_s for action in finished.actions) >= begin_s
    assert trip_elements(finished.outputs.tripinfo) == trip_elements(plain)


def test_a_fork_leaves_the_episode_alone(grid: Stage) -> None:
    """A fork goes its own way; both have whole outputs of their own."""
    alone = grid.start(LENGTH_S, control=YELLOW)
    drive(alone, decide_by_coin(3))
    expected = alone.finish()
    decide = decide_by_coin(3)
    episode = grid.start(LENGTH_S, control=YELLOW)
    drive(episode, decide, to_step=15)
    fork = episode.fork("other")
    drive(fork, decide_by_coin(4))
    drive(episode, decide)
    other, own = fork.finish(), episode.finish()
    assert fork.answer.episode_id == "other"
    assert trip_elements(own.outputs.tripinfo) == trip_elements(expected.outputs.tripinfo)
    assert own.outputs.summary.count(b"<step") == LENGTH_S
    assert other.outputs.summary.count(b"<step") == LENGTH_S
    assert trip_elements(other.outputs.tripinfo) != trip_elements(own.outputs.tripinfo)
    early = own.outputs.summary.split(b'<step time="150.00"')[0].split(b"<step", 1)[1]
    assert _without_wall_time(early) in _without_wall_time(other.outputs.summary)


def _without_wall_time(summary: bytes) -> bytes:
    return b"\n".join(line.split(b" duration=")[0] for line in summary.splitlines())


def test_a_trial_shows_what_a_step_does(grid: Stage) -> None:
    """A candidate's delay is that of the step that carries it out, and nothing moved meanwhile."""
    alone = grid.start(LENGTH_S, control=YELLOW)
    drive(alone, decide_by_coin(5))
    expected = alone.finish()
    decide = decide_by_coin(5)
    episode = grid.start(LENGTH_S, control=YELLOW)
    while not episode.is_over:
        decisions = decide(episode)
        trials = episode.try_candidates([decisions, {}], horizon_s=10, at_once=2)
        answer = episode.step(StepRequest(step=episode.steps, decisions=decisions))
        assert trials[0].error is None
        assert answer.reward == pytest.approx(-(trials[0].delay_veh or 0), abs=0)
    finished = episode.finish()
    assert trip_elements(finished.outputs.tripinfo) == trip_elements(expected.outputs.tripinfo)


def test_an_illegal_candidate_is_an_error_of_its_own(grid: Stage) -> None:
    """The others are rolled out all the same."""
    with grid.start(LENGTH_S, control=YELLOW) as episode:
        tls_id = next(iter(episode.steered))
        bad, good = episode.try_candidates([{tls_id: ShowPhase(next_phase=99)}, {}], horizon_s=20)
    assert bad.error is not None
    assert bad.error.code == "unknown_phase"
    assert good.error is None
    assert good.delay_veh is not None


def test_steps_are_taken_in_order_and_once(grid: Stage) -> None:
    """The last step may be repeated as it was; anything else is a conflict with its own code."""
    with grid.start(30, control=YELLOW) as episode:
        tls_id = next(iter(episode.steered))
        first = StepRequest(step=0)
        answer = episode.step(first)
        assert episode.step(first) == answer
        other = StepRequest(step=0, decisions={tls_id: ShowPhase(next_phase=0)})
        assert _code(episode, other) == "step_conflict"
        assert _code(episode, StepRequest(step=2)) == "step_out_of_order"
        drive(episode, lambda _: {})
        assert episode.answer.truncated
        assert not episode.answer.terminated
        assert _code(episode, StepRequest(step=3)) == "episode_over"


def _code(episode: Episode, request: StepRequest) -> str:
    with pytest.raises(EpisodeConflict) as refused:
        episode.step(request)
    return refused.value.code


def test_invalid_decisions_are_told_and_kept(grid: Stage) -> None:
    """Rubbish costs its signal the invalid reward and changes nothing; others are not affected."""
    asked = {"name": "queue", "invalid_reward": -50.0}
    with grid.start(60, control=YELLOW, reward=asked) as episode:
        first, second, *_ = episode.steered
        answer = episode.step(
            StepRequest(
                step=0, completions={first: "perhaps"}, decisions={second: ShowPhase(next_phase=1)}
            )
        )
        assert answer.invalid[first].code == "no_json"
        assert answer.invalid[second].code == "unknown_phase"
        assert {first, second} <= set(answer.kept)
        assert (answer.rewards[first] or 0) <= -50
        others = [tls for tls in episode.steered if tls not in (first, second)]
        assert all((answer.rewards[tls] or 0) > -50 for tls in others)
        figures = episode.finish().figures
    assert figures.decisions == {
        "phase": {"valid": 0, "invalid": 1},
        "text": {"valid": 0, "invalid": 1},
    }


def test_signals_are_checked_before_anything_runs(grid: Stage) -> None:
    """An unknown signal is refused at creation, and one that is not steered at a step."""
    with pytest.raises(InvalidRequest) as refused:
        grid.start(60, signals=["nowhere"])
    assert refused.value.code == "unknown_signal"
    with grid.start(60) as episode:
        tls_id = next(iter(episode.steered))
    with grid.start(60, signals=[tls_id]) as episode:
        assert set(episode.answer.signals) == {tls_id}
        with pytest.raises(InvalidRequest) as refused:
            episode.step(StepRequest(step=0, decisions={"other": ShowPhase(next_phase=0)}))
    assert refused.value.code == "unknown_signal"


def test_greens_keep_their_maximum_without_decisions(grid: Stage) -> None:
    """Nobody decides anything, and yet no green lasts longer than it may."""
    with grid.start(120, control=YELLOW | {"max_green_s": 20}) as episode:
        shown = []
        while not episode.is_over:
            answer = episode.step(StepRequest(step=episode.steps))
            assert set(answer.kept) == set(episode.steered)
            shown += [one.elapsed_green_s for one in answer.signals.values()]
        assert episode.finish().figures.switches >= 3 * len(episode.steered)
    assert 10 < max(shown) <= 20


def test_without_steered_signals_the_programs_run(grid: Stage) -> None:
    """Nothing is told to any signal, and the trips are those of the scenario left alone."""
    with grid.start(LENGTH_S, signals=[]) as episode:
        drive(episode, lambda _: {})
        finished = episode.finish()
    original = grid.scenario.original
    assert original is not None
    run = ("--seed", str(SEED))
    plain = replay_episode(find_sumo(sumo_version()), original, run, (), episode.spec.end_s)
    assert finished.actions == ()
    assert finished.figures.switches > 0
    assert trip_elements(finished.outputs.tripinfo) == trip_elements(plain)
