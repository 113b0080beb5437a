"""Uploads to a real gateway: what strangers send is scored on, or refused, and survives."""

import asyncio
import gzip
import io
import json
import os
import shutil
import stat
import subprocess
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from reward_server.auth.key_store import KeyStore
from reward_server.storage.database import Database
from reward_server.storage.urls import sqlite_url
from sim_workers.datasets.build_plan import BuildOptions
from sim_workers.datasets.builder import build_dataset
from sim_workers.engine.version import sumo_version
from sim_workers.sandbox.confinement import probe
from sim_workers.states.store import StateStore
from sim_workers.verification.sumo_process import find_sumo
from tests.integration.conftest import OWN
from tests.integration.reward_server.serving import GREENFORK, served
from tests.integration.reward_server.upload_files import CROSSING, crossing_files, zip_of

_TIME_S = 300
_EXTEND = [{"kind": "extend", "extend": True}, {"kind": "extend", "extend": False}]


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The data directory of this file's gateways."""
    return tmp_path_factory.mktemp("data")


@pytest.fixture(scope="module")
def keys(data_dir: Path) -> dict[str, str]:
    """Keys by their scope, made before any gateway ran."""

    async def make() -> dict[str, str]:
        database = Database(sqlite_url(data_dir / "ledger.sqlite"))
        await database.start()
        store = KeyStore(database)
        made = {s: (await store.create(f"{s}er", [s])).secret for s in ("score", "upload")}
        made["both"] = (await store.create("both", ["score", "upload"])).secret
        await database.close()
        return made

    return asyncio.run(make())


@pytest.fixture(scope="module")
def url(data_dir: Path, keys: dict[str, str], dataset_of: Callable[[str], Path]) -> Iterator[str]:
    """A gateway that asks for keys."""
    assert keys
    with served(dataset_of("crossing"), data_dir=data_dir) as address:
        yield address


@pytest.fixture
def client(url: str, keys: dict[str, str]) -> Iterator[httpx.Client]:
    """Somebody who may score and upload."""
    headers = {"Authorization": f"Bearer {keys['both']}"}
    with httpx.Client(base_url=url, headers=headers, timeout=60) as http:
        yield http


@pytest.fixture(scope="module")
def plain_state(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A state that plain SUMO saved, knowing nothing of us."""
    path = tmp_path_factory.mktemp("plain") / "state.xml"
    options = ["--save-state.times", str(_TIME_S), "--save-state.files", str(path)]
    run = [
        str(find_sumo(sumo_version())),
        "-c",
        str(CROSSING),
        "--seed",
        "5",
        "--end",
        str(_TIME_S + 1),
        *options,
    ]
    subprocess.run(run, check=True, capture_output=True)
    return path.read_bytes()


@pytest.fixture(scope="module")
def scenario_id(url: str, keys: dict[str, str]) -> str:
    """The crossing, uploaded once: each look at an upload is processes of its own."""
    response = httpx.put(
        f"{url}/v1/scenarios",
        content=zip_of(crossing_files()),
        headers={"Authorization": f"Bearer {keys['both']}"},
        timeout=60,
    )
    assert response.status_code in (200, 201), response.text
    found: str = response.json()["scenario_id"]
    return found


def assert_refused(response: httpx.Response, status: int, code: str) -> str:
    """Checks the problem, and that it tells nothing of this machine."""
    problem = response.json()
    assert (response.status_code, problem["code"]) == (status, code), problem
    detail: str = problem["detail"]
    assert "/tmp" not in detail
    assert "uploads/" not in detail
    assert "root:" not in detail
    return detail


def score(client: httpx.Client, state_id: str) -> dict[str, Any]:
    """Scores both decisions in a state."""
    items = [{"state_id": state_id, "tls_id": "c", "decision": each} for each in _EXTEND]
    body = {"items": items, "reward": {"name": "queue", "horizon_s": 30}}
    response = client.post("/v1/score", json=body)
    assert response.status_code == 200, response.text
    answer: dict[str, Any] = response.json()
    return answer


def test_scenario_and_state_are_uploaded_and_scored(
    client: httpx.Client, plain_state: bytes
) -> None:
    """What is new is 201, what is repeated 200; rewards say that nothing was proven."""
    files = crossing_files()
    files["fresh.sumocfg"] = files.pop("crossing.sumocfg")
    first, again = (client.put("/v1/scenarios", content=zip_of(files)) for _ in range(2))
    assert (first.status_code, again.status_code) == (201, 200)
    assert (first.json()["created"], again.json()["created"]) == (True, False)
    assert (first.json()["name"], first.json()["signals"]) == ("fresh", ["c"])
    where: dict[str, str | int] = {"scenario": first.json()["scenario_id"], "seed": 5}
    views = [
        client.put("/v1/states", params=where, content=content)
        for content in (plain_state, plain_state, gzip.compress(plain_state))
    ]
    assert [view.status_code for view in views] == [201, 200, 200]
    view = views[0].json()
    assert view == views[1].json() == views[2].json()
    assert (view["time_s"], view["seed"], view["restore"]) == (_TIME_S, 5, "unverified")
    assert view["signals"]["c"]["elapsed_s"] == 12.0, "it is in the file, not in the simulation"
    answer = score(client, view["state_id"])
    assert answer["counts"]["scored"] == 2
    assert {result["restore"] for result in answer["results"]} == {"unverified"}
    assert answer["results"][0]["reward"] != answer["results"][1]["reward"]
    assert client.get(f"/v1/states/{view['state_id']}").json() == view


def test_uploaded_state_does_not_run_dry(
    client: httpx.Client,
    scenario_id: str,
    plain_state: bytes,
    dataset_of: Callable[[str], Path],
) -> None:
    """Demand that SUMO had not read yet when it saved is there: it is read up to 600 s."""
    where: dict[str, str | int] = {"scenario": scenario_id, "seed": 5}
    state_id = client.put("/v1/states", params=where, content=plain_state).json()["state_id"]
    item = {"state_id": state_id, "tls_id": "c", "decision": _EXTEND[0]}
    body = {"items": [item], "reward": {"name": "queue", "horizon_s": 600}, "series": True}
    (result,) = client.post("/v1/score", json=body).json()["results"]
    assert sum(result["metrics"]["series"][-120:]) > 60
    assert dataset_of("crossing").is_dir()


def test_state_of_a_dataset_keeps_its_id_and_its_proof(
    client: httpx.Client, scenario_id: str, dataset_of: Callable[[str], Path]
) -> None:
    """It is served already: nothing is added, and nothing loses its proof."""
    where: dict[str, str | int] = {"scenario": scenario_id, "seed": 7}
    for state in list(StateStore.open([dataset_of("crossing")]))[::4]:
        response = client.put("/v1/states", params=where, content=state.read())
        assert response.status_code == 200, response.text
        assert response.json()["state_id"] == state.record.state_id
        assert response.json()["restore"] == state.record.restore
        other = client.put("/v1/states", params=where | {"seed": 8}, content=state.read())
        assert_refused(other, 409, "conflicting_state")


def test_plain_sumo_saves_the_states_of_a_dataset(
    client: httpx.Client, scenario_id: str, dataset_of: Callable[[str], Path], tmp_path: Path
) -> None:
    """Told to save everything, it comes to the same file, and the same id, as the builder."""
    state = next(iter(StateStore.open([dataset_of("crossing")])))
    time_s, target = f"{state.record.time_s:g}", tmp_path / "state.xml"
    command = [
        *(str(find_sumo(sumo_version())), *state.manifest.simulation.command),
        *("--end", str(state.record.time_s + 1)),
        *("--save-state.times", time_s, "--save-state.files", str(target)),
        *("--save-state.rng", "--save-state.transportables", "--save-state.precision", "30"),
    ]
    subprocess.run(command, cwd=state.layout.root, check=True, capture_output=True)
    where: dict[str, str | int] = {"scenario": scenario_id, "seed": 7}
    response = client.put("/v1/states", params=where, content=target.read_bytes())
    assert (response.status_code, response.json()["state_id"]) == (200, state.record.state_id)


def test_scopes_and_keys_are_asked_for(url: str, keys: dict[str, str]) -> None:
    """Before anything of a body is read."""
    with httpx.Client(base_url=url, timeout=30) as http:
        for path in ("/v1/scenarios", "/v1/states?scenario=x&seed=1"):
            assert_refused(http.put(path, content=b"x"), 401, "unauthorized")
            headers = {"Authorization": f"Bearer {keys['score']}"}
            assert_refused(http.put(path, content=b"x", headers=headers), 403, "forbidden")
        headers = {"Authorization": f"Bearer {keys['upload']}"}
        body: dict[str, list[str]] = {"items": []}
        assert_refused(http.post("/v1/score", json=body, headers=headers), 403, "forbidden")
        malformed = http.post("/v1/score", content=b"{", headers={"Content-Type": "text/json"})
        assert_refused(malformed, 401, "unauthorized")


def hostile_scenarios() -> dict[str, tuple[bytes, str]]:
    """Archives, and the code with which each is refused."""
    files = crossing_files()
    config = files["crossing.sumocfg"]
    evil = config.replace(b'"crossing.rou.xml"', b'"/etc/passwd"')
    entity = b'<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]><routes>&a;</routes>'
    unknown = files["crossing.rou.xml"].replace(b'edges="n_in w_out"', b'edges="nowhere"')
    link = zipfile.ZipInfo("link")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    linked = io.BytesIO(zip_of(files))
    with zipfile.ZipFile(linked, "a") as packed:
        packed.writestr(link, "/etc/passwd")
    tar = io.BytesIO()
    with tarfile.open(fileobj=tar, mode="w:gz") as tarred:
        tarred.addfile(tarfile.TarInfo("crossing.sumocfg"))
    return {
        "no archive": (b"hello", "bad_archive"),
        "no configuration": (zip_of({"a.txt": b""}), "bad_archive"),
        "two configurations": (zip_of(files | {"b.sumocfg": config}), "bad_archive"),
        "slip": (zip_of(files | {"../../evil": b"x"}), "bad_archive"),
        "link": (linked.getvalue(), "bad_archive"),
        "tar": (tar.getvalue(), "bad_archive"),
        "bomb": (zip_of(files | {"bomb": bytes(64 << 20)}), "too_large"),
        "elsewhere": (zip_of(files | {"crossing.sumocfg": evil}), "outside_bundle"),
        "entity": (zip_of(files | {"crossing.rou.xml": entity}), "bad_xml"),
        "sumo refuses": (zip_of(files | {"crossing.rou.xml": unknown}), "sumo_refused"),
    }


@pytest.mark.parametrize("kind", list(hostile_scenarios()))
def test_hostile_scenario_is_refused(client: httpx.Client, data_dir: Path, kind: str) -> None:
    """With a reason, and nothing of it stays."""
    content, code = hostile_scenarios()[kind]
    before = sorted(path.name for path in (data_dir / "uploads").glob("*"))
    detail = assert_refused(client.put("/v1/scenarios", content=content), 422, code)
    if kind == "sumo refuses":
        assert "nowhere" in detail, "in SUMO's words"
    assert not list((data_dir / "uploads" / ".incoming").glob("*"))
    after = sorted(path.name for path in (data_dir / "uploads").glob("*"))
    assert set(after) - set(before) <= {".incoming"}


def test_hostile_state_is_refused(
    client: httpx.Client, scenario_id: str, plain_state: bytes
) -> None:
    """Entities, files to write, another version, nonsense that SUMO itself refuses."""
    where: dict[str, str | int] = {"scenario": scenario_id, "seed": 5}
    written = '<vType id="x"><param key="device.ssm.file" value="/tmp/x"/></vType></snapshot>'
    cases = {
        "bad_state_file": [
            b"hello",
            b'<!DOCTYPE x [<!ENTITY a "b">]>' + plain_state,
            plain_state.replace(b"</snapshot>", written.encode()),
            plain_state.replace(b"</snapshot>", b'<include href="/etc/passwd"/></snapshot>'),
        ],
        "state_of_other_version": [plain_state.replace(b'version="1.28.0"', b'version="1.2.3"')],
        "sumo_refused": [plain_state.replace(b'edges="n_in w_out"', b'edges="nowhere"')],
    }
    for code, contents in cases.items():
        for content in contents:
            response = client.put("/v1/states", params=where, content=content)
            assert_refused(response, 422, code)


@pytest.mark.parametrize(
    "scenario_id",
    [
        "nowhere-0123456789ab",
        "../crossing-0123456789ab",
        "..%2f..%2fetc",
        ".incoming",
        "\0",
        "x" * 200,
        "",
        "/",
    ],
)
def test_unknown_scenario_is_404(client: httpx.Client, scenario_id: str) -> None:
    """Whatever path it looks like."""
    response = client.put("/v1/states", params={"scenario": scenario_id, "seed": 1}, content=b"x")
    assert_refused(response, 404, "unknown_scenario")


def test_info_says_what_is_isolated(client: httpx.Client) -> None:
    """And how large an upload may be."""
    info = client.get("/v1/info").json()
    assert info["isolation"] == {
        "network": probe().network,
        "limits": True,
        "capabilities": True,
        "files": probe().landlock > 0,
        "landlock": probe().landlock,
        "calls": probe().seccomp,
    }
    assert info["limits"]["max_upload_bytes"] == 256 << 20


def test_uploads_are_told_apart_by_their_queries(client: httpx.Client) -> None:
    """A seed is needed, and a scale is a positive number."""
    for query in ("", "?scenario=x", "?scenario=x&seed=-1", "?scenario=x&seed=1&scale=0"):
        assert_refused(client.put(f"/v1/states{query}", content=b"x"), 422, "invalid_request")


def test_push_brings_a_dataset_and_uploads_survive(
    url: str,
    keys: dict[str, str],
    data_dir: Path,
    dataset_of: Callable[[str], Path],
    plain_state: bytes,
    tmp_path: Path,
) -> None:
    """From the command line; to be scored by a gateway that starts afterwards on the same disk."""
    environment = os.environ | {"GREENFORK_API_KEY": keys["both"]}
    grid = tmp_path / "grid"
    build_dataset(OWN["grid2x2"], grid, BuildOptions(seeds=(7,), states=2, end_s=600))
    other_crossing = tmp_path / "crossing"
    shutil.copytree(CROSSING.parent, other_crossing)
    config = other_crossing / CROSSING.name
    config.write_text(config.read_text().replace("<end", '<step-length value="1"/><end'))
    for source in (grid, config):
        command = [*GREENFORK, "push", str(source), "--url", url, "--json"]
        ran = subprocess.run(
            command, env=environment, capture_output=True, text=True, check=True, timeout=100
        )
    assert json.loads(ran.stdout)["scenario_id"].startswith("crossing-")
    headers = {"Authorization": f"Bearer {keys['both']}"}
    with (
        served(dataset_of("crossing"), data_dir=data_dir) as other,
        httpx.Client(base_url=other, headers=headers, timeout=60) as http,
    ):
        states = list(StateStore.open([grid]))
        for state in states:
            view = http.get(f"/v1/states/{state.record.state_id}").json()
            assert view["restore"] == "unverified"
            assert view["scenario_id"] == state.record.scenario_id
            assert view["signals"] == state.view().model_dump(mode="json")["signals"]
        where: dict[str, str | int] = {
            "scenario": json.loads(ran.stdout)["scenario_id"],
            "seed": 11,
        }
        late = http.put("/v1/states", params=where, content=plain_state).json()["state_id"]
        with httpx.Client(base_url=url, headers=headers, timeout=60) as first:
            assert first.get(f"/v1/states/{late}").status_code == 200, "found on the shared disk"
