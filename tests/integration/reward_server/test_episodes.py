"""Episodes over HTTP: whatever dies, and whoever asks twice, the trips are the same to the byte."""

import asyncio
import json
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from greenfork.main import app, commands
from shared.wire.episodes import ControlAction, EpisodeRequest
from sim_workers.engine.version import sumo_version
from sim_workers.episodes.figures import trip_elements
from sim_workers.scenarios.scenario import load_scenario
from sim_workers.verification.episode_replay import replay_episode
from sim_workers.verification.sumo_process import find_sumo
from tests.integration.conftest import OWN
from tests.integration.reward_server.fleet import Fleet
from tests.integration.reward_server.gateway_process import GatewayProcess

LENGTH_S = 100
STEPS = LENGTH_S // 10
EPISODES = 50
YELLOW = {"preset": "resco"}
CONTROLLERS = (
    *("fixed", "actuated", "delay-based", "random", "greedy", "max-pressure", "sotl", "look-ahead"),
)


@pytest.fixture(scope="module")
def gateway(
    dataset_of: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[GatewayProcess]:
    """A gateway that may be killed; it is started again on the same data."""
    more = [dataset_of("grid2x2")]
    gateway = GatewayProcess(dataset_of("crossing"), tmp_path_factory.mktemp("episodes"), more=more)
    gateway.start()
    yield gateway
    gateway.stop()


@pytest.fixture
def http(gateway: GatewayProcess) -> Iterator[httpx.Client]:
    """A plain client of it."""
    with httpx.Client(base_url=gateway.url, timeout=60) as client:
        yield client


def scenario_id(http: httpx.Client, name: str) -> str:
    """The id of a served scenario."""
    states = http.get("/v1/states", params={"scenario": name, "limit": 1}).json()["states"]
    return str(states[0]["scenario_id"])


def create(http: httpx.Client, **asked: Any) -> dict[str, Any]:  # noqa: ANN401
    """A new episode on the crossing."""
    if "state_id" not in asked:
        asked = {"scenario_id": scenario_id(http, "crossing"), "end_s": LENGTH_S} | asked
    response = http.post("/v1/episodes", json={"control": YELLOW} | asked)
    assert response.status_code == 201, response.text
    answer: dict[str, Any] = response.json()
    return answer


def refusal(response: httpx.Response) -> tuple[int, str]:
    """Status and code of a problem."""
    return response.status_code, response.json()["code"]


def drive(http: httpx.Client, answer: dict[str, Any], seed: int = 1) -> dict[str, Any]:
    """Steps an episode to its end, by coin."""
    rng, path = random.Random(seed), f"/v1/episodes/{answer['episode_id']}"
    while not answer["truncated"]:
        decisions = {
            tls: rng.choice(s["legal"]) for tls, s in answer["signals"].items() if s["legal"]
        }
        response = http.post(f"{path}/step", json={"step": answer["step"], "decisions": decisions})
        assert response.status_code == 200, response.text
        answer = response.json()
    return answer


def test_episodes_outlive_worker_and_gateway(gateway: GatewayProcess) -> None:
    """Killed in the middle of fifty, the results are those of undisturbed ones, bit by bit."""
    with httpx.Client(base_url=gateway.url, timeout=60) as http:
        ids = [scenario_id(http, name) for name in ("crossing", "grid2x2")]
    requests = [
        EpisodeRequest.model_validate(
            {"scenario_id": ids[n % 2], "seed": n, "end_s": LENGTH_S, "control": YELLOW}
        )
        for n in range(EPISODES)
    ]

    def restart() -> None:
        gateway.kill()
        gateway.start()

    kills = {EPISODES * 3: gateway.kill_worker, EPISODES * 6: restart}
    disturbed = asyncio.run(Fleet(gateway, kills).run(requests))
    with httpx.Client(base_url=gateway.url, timeout=60) as http:
        page = http.get("/metrics").text
        for one in http.get("/v1/episodes", params={"limit": 1000}).json()["episodes"]:
            http.delete(f"/v1/episodes/{one['episode_id']}")
    replayed = [
        line for line in page.splitlines() if line.startswith("greenfork_episode_steps_rep")
    ]
    assert float(replayed[0].split()[1]) >= EPISODES, "the kill must have hit them"
    undisturbed = asyncio.run(Fleet(gateway).run(requests))
    assert [one[0] for one in disturbed] == [one[0] for one in undisturbed]
    assert disturbed == undisturbed
    assert len({one[1] for one in disturbed}) == EPISODES
    for number in (0, 1):
        _, trips, actions = disturbed[number]
        assert trips == plain_trips(("crossing", "grid2x2")[number], number, actions)


def plain_trips(name: str, seed: int, actions: tuple[ControlAction, ...]) -> tuple[bytes, ...]:
    """What plain SUMO makes of the same actions."""
    original = load_scenario(OWN[name]).original
    assert original is not None
    sumo = find_sumo(sumo_version())
    return trip_elements(replay_episode(sumo, original, ("--seed", str(seed)), actions, LENGTH_S))


def test_steps_are_told_as_they_were_answered(http: httpx.Client) -> None:
    """A page of steps holds what was asked and what was answered, the begin included."""
    begun = create(http)
    path = f"/v1/episodes/{begun['episode_id']}"
    asked = {"step": 0, "decisions": {"c": begun["signals"]["c"]["legal"][-1]}}
    answer = http.post(f"{path}/step", json=asked).json()
    drive(http, answer)
    told = http.get(f"{path}/steps", params={"limit": 3}).json()
    assert (told["begin"], told["total"]) == (begun, STEPS)
    assert [one["step"] for one in told["steps"]] == [0, 1, 2]
    assert told["steps"][0]["answer"] == answer
    assert told["steps"][0]["request"]["decisions"] == asked["decisions"]
    rest = http.get(f"{path}/steps", params={"offset": STEPS - 1}).json()
    assert [one["answer"]["truncated"] for one in rest["steps"]] == [True]
    assert refusal(http.get(f"/v1/episodes/{'0' * 32}/steps")) == (404, "unknown_episode")


def test_a_part_of_an_episode_is_shown(http: httpx.Client) -> None:
    """Second by second, with the very queues that its steps were rewarded for."""
    end = drive(http, create(http, reward={"name": "queue"}), seed=4)
    path = f"/v1/episodes/{end['episode_id']}"
    steps = http.get(f"{path}/steps").json()["steps"]
    shown = http.get(f"{path}/trace", params={"from_s": 20, "to_s": 95}).json()
    assert shown["times_s"] == [float(second) for second in range(20, 96)]
    assert (shown["first_step"], shown["steps"]) == (2, 8)
    geometry = http.get(f"/v1/scenarios/{scenario_id(http, 'crossing')}/geometry").json()
    incoming = {line["lane"] for line in geometry["stop_lines"]}
    for number in range(2, 9):
        queues_veh = [
            standing_on(incoming, shown, second)
            for second in range(10 * number - 19, 10 * number - 9)
        ]
        answer = steps[number]["answer"]
        assert sum(queues_veh) / 10 == -answer["rewards"]["c"] == answer["queue_veh"]
    assert max(shown["signals"]["c"]) > min(shown["signals"]["c"]), "it showed several things"
    again = http.get(f"{path}/trace", params={"from_s": 60, "to_s": 61, "tls_id": "c"}).json()
    assert places_of(again, 0) == places_of(shown, 40)
    assert len(places_of(again, 0)) > 3


def standing_on(lanes: set[str], shown: dict[str, Any], second: int) -> int:
    """Vehicles that stand on some lanes in a second of a trace."""
    pairs = shown["queues"][second]
    queues = zip(pairs[::2], pairs[1::2], strict=True)
    return sum(vehicles for place, vehicles in queues if shown["lanes"][place] in lanes)


def places_of(shown: dict[str, Any], second: int) -> dict[str, tuple[int, ...]]:
    """Where each vehicle is within 250 m of the crossing's stop lines."""
    frame = shown["frames"][second]
    vehicles = [tuple(frame[first : first + 5]) for first in range(0, len(frame), 5)]
    return {
        shown["vehicles"][place]: (x, y, *more)
        for place, x, y, *more in vehicles
        if 396 <= x <= 5604 and 396 <= y <= 5604
    }


def test_candidates_at_an_earlier_step_show_what_was_done(http: httpx.Client) -> None:
    """The decision that was made leads to the reward on record, long after the end."""
    end = drive(http, create(http), seed=5)
    path = f"/v1/episodes/{end['episode_id']}"
    steps = http.get(f"{path}/steps").json()["steps"]
    before = steps[4]["answer"]
    items = [{"decisions": steps[5]["request"]["decisions"]}]
    items += [{"tls_id": "c", "decision": one} for one in before["signals"]["c"]["legal"]]
    body = {"items": items, "reward": {"name": "delay", "horizon_s": 10}, "step": 5}
    tried = http.post(f"{path}/score", json=body).json()
    assert (tried["episode_id"], tried["step"]) == (end["episode_id"], 5)
    assert tried["time_s"] == before["time_s"]
    assert tried["results"][0]["reward"] == steps[5]["answer"]["reward"]
    assert len({one["reward"] for one in tried["results"]}) > 1
    body["step"] = STEPS
    assert refusal(http.post(f"{path}/score", json=body)) == (409, "episode_over")


def test_candidates_show_what_a_step_would(http: httpx.Client) -> None:
    """Each is an exact fork, the episode does not move, and bad ones are told from good ones."""
    answer = halfway(http)
    path, legal = f"/v1/episodes/{answer['episode_id']}", answer["signals"]["c"]["legal"]
    items = [
        *({"tls_id": "c", "decision": decision} for decision in legal),
        {"id": "text", "completions": {"c": '{"next_phase_id": 2}'}},
        {"id": "bad", "tls_id": "c", "decision": {"kind": "phase", "next_phase": 9}},
        {"id": "mute", "tls_id": "c", "completion": "I cannot say."},
    ]
    body = {"items": items, "reward": {"name": "delay", "horizon_s": 10}}
    tried = http.post(f"{path}/score", json=body).json()
    assert tried["step"] == answer["step"]
    *by_phase, text, bad, mute = tried["results"]
    assert (bad["error"]["code"], mute["error"]["code"]) == ("unknown_phase", "no_json")
    go = next(n for n, decision in enumerate(legal) if decision["next_phase"] == 2)
    assert (bad["reward"], text["reward"], text["id"]) == (-1, by_phase[go]["reward"], "text")
    assert len({one["reward"] for one in by_phase}) > 1
    for decision, result in zip(legal, by_phase, strict=True):
        fork = http.post(f"{path}/fork").json()
        one = {"step": answer["step"], "decisions": {"c": decision}}
        stepped = http.post(f"/v1/episodes/{fork['episode_id']}/step", json=one).json()
        assert stepped["reward"] == result["reward"]
    foreign = {"items": [{"tls_id": "x", "completion": "{}"}]}
    assert refusal(http.post(f"{path}/score", json=foreign)) == (422, "unknown_signal")


@pytest.mark.parametrize(
    "control",
    [YELLOW, {"kind": "phase", "transition": {"kind": "program"}}, {"preset": "program"}],
    ids=["yellow", "program", "extend"],
)
def test_a_saved_moment_is_scored_as_the_episode_goes_on(
    http: httpx.Client, control: dict[str, Any]
) -> None:
    """A decision on the state leads to the very delay that the episode has after the same one."""
    answer = halfway(http, control=control)
    path = f"/v1/episodes/{answer['episode_id']}"
    saved = http.post(f"{path}/state")
    assert saved.status_code in (200, 201), saved.text  # another test may have saved it
    state, is_yellow = saved.json(), control is YELLOW
    assert (state["restore"], state["time_s"]) == ("replay", answer["time_s"])
    assert ("control" in state) == is_yellow
    assert state["signals"]["c"]["phase"] == answer["signals"]["c"]["current_phase"]
    assert http.post(f"{path}/state").status_code == 200
    decision = answer["signals"]["c"]["legal"][-1]
    told = {name: value for name, value in decision.items() if value is not None}
    told |= {} if decision["kind"] == "extend" else {"green_s": 20}
    item = {"state_id": state["state_id"], "tls_id": "c", "decision": told}
    horizon_s = 5 if decision["kind"] == "extend" else 10
    body = {"items": [item], "reward": {"name": "delay", "horizon_s": horizon_s}}
    (scored,) = http.post("/v1/score", json=body, timeout=60).json()["results"]
    assert (scored["status"], scored["restore"]) == ("scored", "replay"), scored
    one = {"step": answer["step"], "decisions": {"c": decision}}
    assert http.post(f"{path}/step", json=one).json()["reward"] == scored["reward"]
    if is_yellow:
        body["items"] = [item | {"decision": {"kind": "extend", "extend": True}}]
        (refused,) = http.post("/v1/score", json=body).json()["results"]
        assert (refused["status"], refused["error"]["code"]) == ("invalid", "wrong_kind")
        outcomes = http.get(f"/v1/states/{state['state_id']}/outcomes", params={"tls_id": "c"})
        assert refusal(outcomes) == (422, "wrong_kind")


def test_an_episode_begins_from_a_state(http: httpx.Client) -> None:
    """From one of a dataset, and from a saved moment; with its seed, at its time."""
    states = http.get("/v1/states", params={"scenario": "crossing"}).json()["states"]
    known = next(state for state in states if not state["run"].startswith("episode"))
    begun = create(http, state_id=known["state_id"], end_s=known["time_s"] + 30)
    assert (begun["time_s"], begun["step"]) == (known["time_s"], 0)
    assert drive(http, begun)["time_s"] == known["time_s"] + 30
    answer = halfway(http, control={"preset": "program"})
    saved = http.post(f"/v1/episodes/{answer['episode_id']}/state").json()
    again = create(http, state_id=saved["state_id"], control={"preset": "program"}, end_s=LENGTH_S)
    ends = [drive(http, one, seed=3) for one in (answer, again)]
    trips = [
        http.get(
            f"/v1/episodes/{end['episode_id']}/trips", headers={"Accept": "application/xml"}
        ).content
        for end in ends
    ]
    assert trip_elements(trips[0]) == trip_elements(trips[1])


def halfway(http: httpx.Client, **asked: Any) -> dict[str, Any]:  # noqa: ANN401
    """The last answer of an episode that has several decisions behind it, and one to make."""
    answer, rng = create(http, **asked), random.Random(2)
    while answer["time_s"] < 50 or len(answer["signals"]["c"]["legal"]) < 2:
        legal = answer["signals"]["c"]["legal"]
        decisions = {"c": rng.choice(legal)} if legal else {}
        body = {"step": answer["step"], "decisions": decisions}
        answer = http.post(f"/v1/episodes/{answer['episode_id']}/step", json=body).json()
    return answer


def _options(trips: Path) -> list[str]:
    options = ["--end", "60", "--seeds", "1", "--horizon", "15", "--workers", "2", "--json"]
    named = [option for name in CONTROLLERS for option in ("--controller", name)]
    return [*named, *options, "--protocol", "sumo-rl", "--trips", str(trips)]


@pytest.mark.usefixtures("one_fork_server")
def test_a_service_drives_as_this_machine_does(
    gateway: GatewayProcess, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Figures, trips and actions of each controller are the same, look-ahead's rollouts, too."""
    found = []
    for where, asked in (
        ("here", [str(OWN["grid2x2"])]),
        ("there", ["grid2x2", "--url", gateway.url]),
    ):
        assert (
            commands(["control", *asked, *_options(tmp_path / where)], standalone_mode=False) == 0
        )
        said = json.loads(capsys.readouterr().out)
        found.append((said["scenario_id"], [_figures(one) for one in said["controllers"]]))
    here, there = found
    assert here == there
    assert [one[0] for one in here[1]] == list(CONTROLLERS)
    assert len({json.dumps(one[1]) for one in here[1]}) > 2  # they do not all drive alike
    for path in sorted((tmp_path / "here").iterdir()):
        if not path.name.endswith(".record.jsonl"):  # which says what was observed, too
            assert path.read_bytes() == (tmp_path / "there" / path.name).read_bytes(), path.name


def _figures(controller: dict[str, Any]) -> tuple[object, object, object]:
    (episode,) = controller["episodes"]  # one seed
    return controller["name"], episode["figures"], controller["rollouts"]


def test_an_unknown_scenario_is_refused_before_anything_runs(
    gateway: GatewayProcess, capsys: pytest.CaptureFixture[str]
) -> None:
    """Once, with the service's code."""
    with pytest.raises(SystemExit) as ended:
        app(["control", "nowhere", "--url", gateway.url, "--controller", "greedy", "--json"])
    assert ended.value.code != 0
    assert json.loads(capsys.readouterr().out)["error"]["code"] == "unknown_scenario"


def test_what_the_service_leaves_out_is_said(
    gateway: GatewayProcess, capsys: pytest.CaptureFixture[str]
) -> None:
    """RESCO's departure defaults, on standard error; the figures name no arguments."""
    asked = ["control", "grid2x2", "--url", gateway.url, "--end", "20", "--seeds", "1", "--json"]
    assert commands([*asked, "--controller", "greedy"], standalone_mode=False) == 0
    said = capsys.readouterr()
    assert json.loads(said.out)["arguments"] == []
    (line,) = [one for one in said.err.splitlines() if "not set" in one]
    assert line.startswith("protocol resco: with --url, SUMO's --default.departspeed=0")
