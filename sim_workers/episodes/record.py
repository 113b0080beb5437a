"""An episode as data: a specification and the decisions so far, which determine it completely.

So it can be recorded, parked, replayed and continued anywhere, byte for byte.
"""

from collections.abc import Iterable, Mapping
from typing import Self

from pydantic import Field, FiniteFloat, ValidationError

from shared.errors import InvalidRequest
from shared.legality import undecidable_reason
from shared.model import WireModel
from shared.signals import Signal, SignalState
from shared.wire.episodes import (
    MAX_EPISODE_S,
    EpisodeControl,
    EpisodeRequest,
    EpisodeReward,
    ProgramKind,
    StepRequest,
)

__all__ = ["EpisodeRecord", "EpisodeSpec", "choose_signals"]

_DEFAULT_LENGTH_S = 3600.0


class EpisodeSpec(WireModel):
    """What determines an episode besides its decisions and its scenario."""

    seed: int
    scale: float
    begin_s: FiniteFloat
    end_s: FiniteFloat
    signals: tuple[str, ...] | None
    """The controlled signals; None means all that have anything to decide."""
    program: ProgramKind | None = Field(default=None, exclude_if=lambda kind: kind is None)
    """The type of program that replaces the signals' own; None: their own."""
    control: EpisodeControl
    reward: EpisodeReward
    observe: tuple[str, ...] = ()
    arguments: tuple[str, ...] = ()
    """Arguments of SUMO that a protocol adds, such as ``--default.departspeed=0``."""

    @classmethod
    def of(
        cls,
        request: EpisodeRequest,
        seed: int,
        begin_s: float,
        end_s: float | None,
        scale: float = 1.0,
        arguments: tuple[str, ...] = (),
    ) -> Self:
        """The specification of the episode that a request describes.

        Args:
            request: The request.
            seed: The scenario's own, or the state's.
            begin_s: Where the scenario begins, or the state's time, seconds.
            end_s: Where the scenario ends, after which nothing is defined; None if it has no end.
            scale: The state's.
            arguments: Of SUMO, by protocol.

        Raises:
            InvalidRequest: ``end_before_begin``, ``episode_too_long`` or ``past_scenario_end``.
        """
        begin_s = begin_s if request.begin_s is None else request.begin_s
        wanted_s = _wanted_end_s(request, begin_s, end_s)
        return cls(
            seed=seed if request.seed is None else request.seed,
            scale=scale if request.scale is None else request.scale,
            begin_s=begin_s,
            end_s=wanted_s,
            signals=None if request.signals is None else tuple(sorted(request.signals)),
            program=request.program,
            control=request.control,
            reward=request.reward,
            observe=request.observe,
            arguments=arguments,
        )


def _wanted_end_s(request: EpisodeRequest, begin_s: float, end_s: float | None) -> float:
    """Where an episode ends that begins at ``begin_s``, in a scenario that ends at ``end_s``."""
    last_s = float("inf") if end_s is None else end_s
    wanted_s = request.end_s
    if wanted_s is None:
        wanted_s = min(begin_s + _DEFAULT_LENGTH_S, last_s)
    if wanted_s <= begin_s:
        raise InvalidRequest(
            f"the episode would end at {wanted_s:g} s, not after its begin at {begin_s:g} s; "
            "set end_s, or leave it out for an hour",
            "end_before_begin",
        )
    if wanted_s - begin_s > MAX_EPISODE_S:
        raise InvalidRequest(
            f"the episode would last {wanted_s - begin_s:g} s; at most {MAX_EPISODE_S} s are "
            "allowed",
            "episode_too_long",
        )
    if wanted_s > last_s:
        raise InvalidRequest(
            f"the episode would end at {wanted_s:g} s, after the scenario's end at "
            f"{last_s:g} s; set an earlier end_s",
            "past_scenario_end",
        )
    return wanted_s


class EpisodeRecord(WireModel):
    """An episode as it is kept."""

    spec: EpisodeSpec
    steps: tuple[StepRequest, ...] = ()
    """The request of each step, in order."""

    def to_lines(self) -> str:
        """The record as JSON lines: the specification, then one step per line."""
        lines = [self.spec.model_dump_json(), *(one.model_dump_json() for one in self.steps)]
        return "".join(f"{line}\n" for line in lines)

    @classmethod
    def from_lines(cls, lines: Iterable[str]) -> Self:
        """Reads what :meth:`to_lines` wrote.

        Raises:
            InvalidRequest: ``bad_record``: the lines are not a record.
        """
        first, *rest = list(lines) or [""]
        try:
            return cls(
                spec=EpisodeSpec.model_validate_json(first),
                steps=tuple(StepRequest.model_validate_json(line) for line in rest),
            )
        except ValidationError as exc:
            raise InvalidRequest(
                "this is not a record of an episode as written by greenfork control --trips",
                "bad_record",
            ) from exc


def choose_signals(
    wanted: tuple[str, ...] | None,
    signals: Mapping[str, Signal],
    states: Mapping[str, SignalState],
) -> tuple[str, ...]:
    """The controlled signals, sorted.

    Args:
        wanted: The requested signals; None for all that have anything to decide.
        signals: All signals of the network.
        states: Their states at the begin.

    Raises:
        InvalidRequest: ``unknown_signal`` or ``nothing_to_decide``.
    """
    why = {tls: undecidable_reason(one, states[tls].program_id) for tls, one in signals.items()}
    if wanted is None:
        return tuple(sorted(tls for tls, reason in why.items() if reason is None))
    for tls_id in wanted:
        if tls_id not in signals:
            raise InvalidRequest(
                f"the network has no traffic light {tls_id[:80]!r}; it has "
                f"{', '.join(sorted(signals)[:10])}",
                "unknown_signal",
            )
        if why[tls_id] is not None:
            raise InvalidRequest(
                f"signal {tls_id} has nothing to decide: {why[tls_id]}", "nothing_to_decide"
            )
    return tuple(sorted(wanted))
