"""A runner of episodes that simulates nothing, and tells what it was asked."""

from dataclasses import dataclass, field

from shared.errors import GreenforkError
from shared.wire.episode_views import CandidateResult, CandidatesResponse
from shared.wire.episodes import (
    ControlAction,
    EpisodeFigures,
    ShowPhase,
    SignalObservation,
    StepAnswer,
)
from shared.wire.viewing.episode_traces import EpisodeFrames
from sim_workers.episodes.position import Position
from sim_workers.episodes.record import EpisodeSpec
from sim_workers.pool.episodes.dispatch import EpisodeStats
from sim_workers.pool.episodes.messages import (
    EpisodeCall,
    EpisodeEnd,
    EpisodeReply,
    ShownSpan,
)
from sim_workers.pool.episodes.turns import OriginSource
from sim_workers.pool.fair_queue import Flow

__all__ = ["TRIPINFO", "FakeEpisodes"]

TRIPINFO = b"""<tripinfos>
    <tripinfo id="a" depart="1.00" departDelay="0.50" arrival="9.00" duration="8.00"
        timeLoss="2.00" waitingTime="1.00" routeLength="80.00"/>
    <tripinfo id="b" depart="-1" departDelay="4.00" arrival="-1" duration="0.00"
        timeLoss="0.00" waitingTime="0.00" routeLength="0.00"/>
</tripinfos>
"""

_FIGURES = EpisodeFigures(
    vehicles=2,
    delay_s=3.25,
    travel_time_s=8.0,
    travel_time_all_s=6.25,
    wait_s=1.0,
    queue_veh=0.5,
    throughput_veh=1,
    backlog_veh=1,
    teleports=0,
    collisions=0,
    emergency_stops=0,
    switches=3,
    gridlocked=False,
)


@dataclass
class FakeEpisodes:
    """Knows where each episode's process is, as a worker does."""

    processes: dict[str, tuple[Position, EpisodeSpec]] = field(default_factory=dict)
    replayed: list[tuple[str, int]] = field(default_factory=list)
    """Episodes that had no process where the record is, and steps that were replayed."""
    flows: list[Flow] = field(default_factory=list)
    fails: GreenforkError | None = None
    """Raised instead of an answer, once."""
    calls: list[EpisodeCall] = field(default_factory=list)
    repeats_otherwise: bool = False
    """Whether a repeated step is answered with another reward."""

    async def run(
        self, call: EpisodeCall, source: OriginSource, flow: Flow, simulated_s: float
    ) -> EpisodeReply:
        """What becomes of a call."""
        self.flows.append(flow)
        self.calls.append(call)
        if self.fails is not None:
            error, self.fails = self.fails, None
            raise error
        at, spec = self.processes.get(call.episode_id, (None, None))
        if at != call.at or spec is None:
            origin = await source(False)
            self.replayed.append((call.episode_id, len(origin.steps)))
            spec, at = origin.spec, call.at
        if call.verb == "fork":
            self.processes[call.fork_id] = (at, spec)
        if call.verb == "step":
            assert call.step is not None
            at = at.after(call.step.model_dump_json().encode())
        if call.verb == "show":
            return EpisodeReply(at, shown=self._shown(call, spec))
        self.processes[call.episode_id] = (at, spec)
        if call.verb == "score":
            return EpisodeReply(at, answer=_scored(call, spec))
        return self._reply(call, at, spec)

    def park(self, episode_ids: list[str]) -> None:
        """Forgets processes."""
        for episode_id in episode_ids:
            self.processes.pop(episode_id, None)

    def is_live(self, episode_id: str) -> bool:
        """Whether there is one."""
        return episode_id in self.processes

    def stats(self) -> EpisodeStats:
        """Counts."""
        steps = sum(steps for _, steps in self.replayed)
        return EpisodeStats(len(self.processes), steps, len(self.replayed))

    def _shown(self, call: EpisodeCall, spec: EpisodeSpec) -> ShownSpan:
        """The seconds of a span, with nothing to see in them."""
        assert call.watch is not None
        first = int((call.watch.from_s - spec.begin_s) // spec.control.interval_s)
        replies = [
            self._reply(call, Position(steps=number, digest=""), spec).answer
            for number in range(first, call.at.steps + 1)
        ]
        if self.repeats_otherwise:
            replies[-1] = replies[-1].replace(b'"reward":-', b'"reward":-1')
        seconds = range(int(call.watch.to_s - call.watch.from_s) + 1)
        frames = EpisodeFrames(
            times_s=tuple(call.watch.from_s + second for second in seconds),
            box=(0, 0, 1, 1),
            vehicles=("a",),
            lengths_dm=(50,),
            frames=tuple((0, 5, 5, 90, 100) for _ in seconds),
            omitted_veh=0,
            signals={"C": tuple("G" for _ in seconds)},
            lanes=(),
            queues=tuple(() for _ in seconds),
        )
        return ShownSpan(first, tuple(replies), frames.model_dump_json().encode())

    def _reply(self, call: EpisodeCall, at: Position, spec: EpisodeSpec) -> EpisodeReply:
        time_s = min(spec.begin_s + at.steps * spec.control.interval_s, spec.end_s)
        seen = SignalObservation(
            current_phase=0,
            elapsed_green_s=10,
            legal=(ShowPhase(next_phase=0), ShowPhase(next_phase=2)),
        )
        answer = StepAnswer(
            episode_id=call.episode_id,
            step=at.steps,
            time_s=time_s,
            signals={"C": seen},
            reward=-float(at.steps),
            truncated=time_s >= spec.end_s,
        )
        action = ControlAction(time_s=time_s, tls_id="C", call="setPhase", arguments=(at.steps,))
        end = None
        if answer.truncated and call.verb == "step":
            self.processes.pop(call.episode_id)
            end = EpisodeEnd(_FIGURES.model_dump_json().encode(), TRIPINFO)
        return EpisodeReply(
            at,
            answer=answer.model_dump_json().encode(),
            time_s=time_s,
            signals=("C",),
            actions=f"{action.model_dump_json()}\n".encode(),
            end=end,
        )


def _scored(call: EpisodeCall, spec: EpisodeSpec) -> bytes:
    """Every candidate scored, with the number of the step."""
    assert call.candidates is not None
    results = tuple(
        CandidateResult(id=item.id, status="scored", reward=float(call.at.steps))
        for item in call.candidates.items
    )
    response = CandidatesResponse(
        episode_id=call.episode_id,
        step=call.at.steps,
        time_s=spec.begin_s + call.at.steps * spec.control.interval_s,
        results=results,
    )
    return response.model_dump_json().encode()
