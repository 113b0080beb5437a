"""Playing episodes over the API, for the page to show."""

import json
import urllib.request
from typing import Any

from tests.page.conftest import Service

__all__ = ["END_S", "play", "post"]

END_S = {"crossing": 600.0, "cologne8": 25_500.0}


def post(service: Service, path: str, body: object) -> Any:  # noqa: ANN401
    """The answer to a message of somebody who may score."""
    headers = {
        "Content-Type": "application/json",
        "Authorization": f"Bearer {service.keys['score']}",
    }
    data = json.dumps(body).encode()
    request = urllib.request.Request(service.url + path, data, headers)  # noqa: S310
    with urllib.request.urlopen(request) as response:  # noqa: S310
        return json.load(response)


def play(service: Service, scenario: str, place: int) -> str:
    """An episode whose signals show their greens in turn, with a text that is none in between."""
    asked = {
        "scenario_id": service.state(scenario)["scenario_id"],
        "control": {"preset": "resco"},
        "reward": {"name": "queue"},
        "observe": ["prompt"],
        "seed": 1,
        "end_s": END_S[scenario],
    }
    answer = post(service, "/v1/episodes", asked)
    episode_id = str(answer["episode_id"])
    while not answer["truncated"]:
        step = answer["step"]
        decisions = {
            tls_id: one["legal"][(step // 4 * place) % len(one["legal"])]
            for tls_id, one in answer["signals"].items()
            if one["legal"]
        }
        texts = {decisions.popitem()[0]: "hm"} if step % 10 == 9 and decisions else {}
        body = {"step": step, "decisions": decisions, "completions": texts}
        answer = post(service, f"/v1/episodes/{episode_id}/step", body)
    return episode_id
