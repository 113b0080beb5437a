"""What an action says, as the completions of a step."""

import json
from collections.abc import Mapping

from pydantic import JsonValue

from reward_server.http.openenv.messages import TrafficAction
from shared.errors import InvalidDecision, InvalidRequest
from shared.language.completions import parse_answers
from shared.wire.episodes import SignalObservation

__all__ = ["completions_of"]


def completions_of(
    data: dict[str, JsonValue], signals: Mapping[str, SignalObservation]
) -> dict[str, str]:
    """A model's text for each signal that is decided.

    Where nothing may be decided nothing is given, and the signal goes on as it is: an agent has to
    act at every step.

    Args:
        data: The action.
        signals: Those that are steered.

    Raises:
        ValidationError: It has a completion, and fields that no action has.
        InvalidRequest: ``unknown_signal``: it decides for a signal that is not steered.
    """
    said = TrafficAction.model_validate(data).completion if "completion" in data else data
    answers = _by_signal(said, signals)
    return {tls_id: _text(answer) for tls_id, answer in answers.items() if signals[tls_id].legal}


def _by_signal(
    said: JsonValue, signals: Mapping[str, SignalObservation]
) -> Mapping[str, JsonValue | object]:
    if len(signals) == 1:
        (tls_id,) = signals
        is_named = isinstance(said, dict) and said.keys() == {tls_id}
        return said if is_named and isinstance(said, dict) else {tls_id: said}
    if isinstance(said, dict):
        answers: Mapping[str, JsonValue | object] = said
    else:
        try:
            answers = parse_answers(_text(said))
        except InvalidDecision:
            return dict.fromkeys(signals, said)  # each finds it invalid, and says why
    for tls_id in answers:
        if tls_id not in signals:
            raise InvalidRequest(
                f"signal {tls_id[:80]!r} is not steered in this episode; with several signals "
                f"completion is an object by signal: {', '.join(sorted(signals)[:10])}",
                "unknown_signal",
            )
    return answers


def _text(answer: object) -> str:
    return answer if isinstance(answer, str) else json.dumps(answer)
