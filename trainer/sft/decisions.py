"""The decisions that lessons teach: the best known, any legal one, a rule's, or the recorded one.

Answers say no more than prompts ask for: a *yes* carries no seconds of its own, because the prompt
states how many it adds.
"""

import random
from collections.abc import Sequence
from pathlib import Path

from pydantic import ValidationError

from shared.dataset import Action, DatasetLayout, Manifest
from shared.decisions import Decision, Extend
from shared.errors import ConfigError, DatasetError
from shared.language.prompts import Junction, read_prompt
from shared.legality import legal_decisions
from shared.signals import Phase, Program, Signal, SignalState
from trainer.evaluation.baselines import RULES, BaselineName
from trainer.evaluation.points import DecisionPoint
from trainer.evaluation.worth import Worth, stored_worth
from trainer.sft.config import BestBy

__all__ = [
    "RecordedDecisions",
    "any_legal",
    "best_decision",
    "known_worth",
    "noisy_rule",
    "rule_decision",
]


_Actions = dict[tuple[str, float | None], float]
"""How many more seconds the current green was set to last, by signal and time."""


def best_decision(point: DecisionPoint, by: BestBy) -> Decision:
    """The decision with the best stored outcome; the first of equals.

    Args:
        point: The decision point.
        by: The reward that ranks the outcomes. ``queue_gain`` falls as the queue grows, whatever
            it is compared with, so it ranks them as ``queue`` does.

    Raises:
        DatasetError: The point has no outcomes, or this reward cannot be computed from them.
    """
    return _as_asked(known_worth(point, by).best.decision)


def known_worth(point: DecisionPoint, by: BestBy = "queue") -> Worth:
    """What each legal decision at a point is worth.

    Raises:
        DatasetError: The outcomes are not stored.
    """
    if point.outcomes is None:
        raise DatasetError(
            f"the source best needs the outcomes of all legal decisions, but {point.name} has "
            "none: build the dataset with greenfork dataset build … --outcomes",
            "no_outcomes",
        )
    worth = stored_worth(point.outcomes, "queue" if by == "queue_gain" else by)
    if worth is None:
        raise DatasetError(f"the outcomes of {point.name} do not give the reward {by}")
    return worth


def any_legal(point: DecisionPoint, chance: random.Random) -> Decision:
    """One of the legal decisions, all equally likely.

    The legal decisions are those of the stored outcomes or, without outcomes, those that follow
    from the prompt.

    Raises:
        DatasetError: The point has no outcomes, and its prompt cannot be read.
    """
    kind = point.place.decision_kind
    if point.outcomes:
        legal = tuple(outcome.decision for outcome in point.outcomes)
    elif kind == "extend":
        legal = (Extend(extend=True), Extend(extend=False))
    else:
        junction = read_prompt(point.prompt)
        state = SignalState(
            program_id="0", phase=junction.current_phase, elapsed_s=junction.elapsed_green
        )
        legal = legal_decisions(kind, _signal_of(junction), state, point.extend_s)
    if not legal:
        raise DatasetError(f"nothing of the kind {kind} is legal at {point.name}")
    return _as_asked(chance.choice(legal))


def noisy_rule(point: DecisionPoint, chance: random.Random, noise: float) -> Decision:
    """The longest-queue rule, with a random decision in a share ``noise`` of the cases.

    Raises:
        ConfigError: The point asks for something other than *extend*.
        DatasetError: The prompt cannot be read.
    """
    ruled = rule_decision(point, "longest-queue")
    return Extend(extend=chance.random() < 0.5) if chance.random() < noise else ruled


def rule_decision(point: DecisionPoint, name: BaselineName) -> Decision:
    """What a rule of :mod:`trainer.evaluation.baselines` decides.

    Raises:
        ConfigError: The point asks for something other than *extend*.
        DatasetError: The data that the rule reads is missing.
    """
    _only_extend(point, name)
    return Extend(extend=RULES[name](point))


class RecordedDecisions:
    """What controlled the signals when the states of dataset folders were saved.

    Reads each run once.
    """

    def __init__(self) -> None:
        self._runs: dict[str, _Actions | None] = {}

    def told(self, points: Sequence[DecisionPoint]) -> list[DecisionPoint]:
        """The points with a recorded decision; a policy decides only every few seconds.

        Raises:
            ConfigError: A point asks for something other than *extend*.
            DatasetError: None of the points has a recorded decision.
        """
        found = [point for point in points if self._extends(point) is not None]
        if not found:
            raise DatasetError(
                "the source recorded has no rows: no row is at a time when a decision was recorded"
            )
        return found

    def decision(self, point: DecisionPoint) -> Decision:
        """Whether the green was extended.

        If a policy controlled the signals, this is what it did. If the program did, the green was
        extended if its duration lasts beyond the seconds that a *yes* adds; an actuated program
        is treated as fixed.

        Args:
            point: One of the points returned by :meth:`told`.
        """
        return Extend(extend=self._extends(point) is True)

    def _extends(self, point: DecisionPoint) -> bool | None:
        _only_extend(point, "recorded")
        if point.greens is None:
            raise DatasetError(
                f"the source recorded needs a dataset folder, but {point.name} is not from one"
            )
        if point.run not in self._runs:
            self._runs[point.run] = _actions_of(point.run)
        actions, junction = self._runs[point.run], read_prompt(point.prompt)
        bounds = (junction.elapsed_green, junction.min_green, junction.max_green)
        if actions is None:
            left_s = point.greens[junction.current_phase].duration_s - junction.elapsed_green
            return left_s >= Extend(extend=True, extend_s=point.extend_s).remaining_s(*bounds)
        if (remaining_s := actions.get((point.place.tls_id, point.time_s))) is None:
            return None
        return remaining_s > Extend(extend=False).remaining_s(*bounds)


def _actions_of(run: str) -> _Actions | None:
    """What a policy set during a run; None if the signals' own programs controlled it."""
    layout, name = DatasetLayout(Path(run).parent), Path(run).name
    try:
        manifest = Manifest.model_validate_json(layout.manifest.read_bytes())
        found = {one.run: one for one in manifest.simulations}[name]
        if found.actions is None:
            return None
        lines = (layout.root / found.actions).read_text(encoding="utf-8").splitlines()
        actions = [Action.model_validate_json(line) for line in lines if line]
    except (OSError, KeyError, ValidationError) as exc:
        raise DatasetError(f"cannot read the recorded decisions of {run}: {exc}") from exc
    return {(action.tls_id, action.time_s): action.remaining_s for action in actions}


def _only_extend(point: DecisionPoint, name: str) -> None:
    if point.place.decision_kind != "extend":
        raise ConfigError(
            f"the source {name.replace('-', '_')} decides extend only, and {point.name} asks for "
            f"{point.place.decision_kind}; use best, format or reading"
        )


def _as_asked(decision: Decision) -> Decision:
    return Extend(extend=decision.extend) if isinstance(decision, Extend) else decision


def _signal_of(junction: Junction) -> Signal:
    """A signal described by its prompt alone: its greens and their bounds."""
    phases = tuple(
        Phase(duration_s=1, state="G" if phase in junction.phases else "y")
        for phase in range(max(junction.phases) + 1)
    )
    return Signal(
        tls_id="",
        incoming_lanes=(),
        outgoing_lanes=(),
        programs={"0": Program(program_id="0", kind="static", phases=phases)},
        min_green_s=junction.min_green,
        max_green_s=junction.max_green,
    )
