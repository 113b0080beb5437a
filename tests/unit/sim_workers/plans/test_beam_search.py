"""The beam finds plans by the rewards of their prefixes, and never makes up for a failure."""

from collections.abc import Sequence

import pytest

from shared.dataset import Message, Row
from shared.decisions import Plan
from shared.errors import (
    ConfigError,
    InvalidDecision,
    RolloutTimeout,
    ServiceUnreachable,
)
from shared.language.completions import render_completion
from shared.rewards import RewardSpec
from sim_workers.plans.beam_search import FailedRow, SearchOptions, search_plans, search_row

_USER = (
    '{"phases":{"0":{"queued":4,"approaching":5,"passed":6}},"current_phase":0,'
    '"elapsed_green":12,"min_green":5,"max_green":60}'
)
_ROW = Row(
    prompt=(Message(role="system", content="Extend?"), Message(role="user", content=_USER)),
    state_id="net@5-0123456789ab",
    scenario="net-0123456789ab",
    tls_id="A",
    decision_kind="extend",
    current_phase=0,
    elapsed_green_s=12,
    min_green_s=5,
    max_green_s=60,
    time_s=5,
    seed=1,
    restore="state",
    difficulty=0.5,
)


def _word(plan: Plan) -> str:
    return "".join("y" if step.extend else "n" for step in plan.steps)


class _Scores:
    """Scores by a table; 0 for what is not in it."""

    def __init__(self, **known: float) -> None:
        self.known = known
        self.asked: list[list[str]] = []

    async def __call__(self, plans: Sequence[Plan]) -> list[float]:
        """The rewards in order."""
        self.asked.append([_word(plan) for plan in plans])
        return [self.known.get(_word(plan), 0.0) for plan in plans]


def _options(beam: int = 2, depth: int = 3, horizon_s: int = 60) -> SearchOptions:
    return SearchOptions(RewardSpec(horizon_s=horizon_s), beam, depth, extend_s=5)


async def test_only_the_best_prefixes_are_made_longer() -> None:
    """At each depth twice the beam is asked for at most, in one batch."""
    scores = _Scores(y=1, n=2, yy=5, yn=1, ny=4, nn=3, yyn=7, nyy=9)
    found = await search_plans(scores, _options())
    assert scores.asked == [["y", "n"], ["yy", "yn", "ny", "nn"], ["yyy", "yyn", "nyy", "nyn"]]
    assert [(_word(plan), reward) for plan, reward in found] == [("nyy", 9), ("yyn", 7)]


async def test_a_wide_beam_finds_all_plans() -> None:
    """Eight of three steps; equals in the order of the answers, yes first."""
    found = await search_plans(_Scores(nnn=1), _options(beam=100))
    words = [_word(plan) for plan, _ in found]
    assert words == ["nnn", "yyy", "yyn", "yny", "ynn", "nyy", "nyn", "nny"]


async def test_plans_carry_the_seconds_of_their_dataset() -> None:
    """They say when the steps are due."""
    options = SearchOptions(RewardSpec(), beam=2, depth=2, extend_s=15)
    assert {plan.extend_s for plan, _ in await search_plans(_Scores(), options)} == {15}


async def test_a_row_holds_its_plans_in_both_forms() -> None:
    """The words are those of the completion, and the prompt asks for as many."""
    scores = _Scores(yy=0.5, nn=0.25)
    found = await search_row(_ROW, _options(depth=2), lambda _row, plans: scores(plans))
    assert not isinstance(found, FailedRow)
    assert found.id_list == (("yes", "yes"), ("no", "no"))
    assert found.score_list == tuple(one.reward for one in found.candidates) == (0.5, 0.25)
    assert render_completion(found.candidates[1].decision) == '["no", "no"]'
    assert "2 answers" in found.prompt[0].content
    assert found.prompt[1] == _ROW.prompt[1]
    assert (found.decision_kind, found.state_id) == ("plan", _ROW.state_id)


@pytest.mark.parametrize(
    "error", [RolloutTimeout("too slow"), InvalidDecision("no green", "not_green")]
)
async def test_a_plan_that_fails_leaves_its_row_out(
    error: RolloutTimeout | InvalidDecision,
) -> None:
    """With the reason: a beam without that plan might be another."""

    async def fail(_row: Row, plans: Sequence[Plan]) -> list[float]:
        if len(plans) > 2:
            raise error
        return [0.0] * len(plans)

    found = await search_row(_ROW, _options(), fail)
    assert isinstance(found, FailedRow)
    assert (found.state_id, found.error.code) == (_ROW.state_id, error.code)


async def test_a_prompt_of_another_kind_leaves_its_row_out() -> None:
    """What it says of the junction is not known."""
    row = _ROW.model_copy(update={"prompt": (Message(role="user", content="Hello"),)})
    scores = _Scores()
    found = await search_row(row, _options(), lambda _row, plans: scores(plans))
    assert isinstance(found, FailedRow)
    assert found.error.code == "unreadable_prompt"


async def test_a_service_that_is_gone_ends_the_search() -> None:
    """It is not the row's fault."""

    async def gone(_row: Row, _plans: Sequence[Plan]) -> list[float]:
        raise ServiceUnreachable("nobody there")

    with pytest.raises(ServiceUnreachable):
        await search_row(_ROW, _options(), gone)


@pytest.mark.parametrize(
    ("beam", "depth", "horizon_s"), [(1, 3, 60), (2, 0, 60), (2, 241, 3600), (2, 5, 24)]
)
def test_searches_that_make_no_sense_are_refused(beam: int, depth: int, horizon_s: int) -> None:
    """One candidate, no decision, too many, or decisions beyond the horizon."""
    with pytest.raises(ConfigError):
        _options(beam, depth, horizon_s)
