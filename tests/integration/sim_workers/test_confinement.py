"""What simulation processes cannot do any more, tried in real ones by :mod:`.intruder`."""

import ctypes
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from shared.errors import OutOfMemory
from sim_workers.engine.fork_client import ForkServer
from sim_workers.engine.messages import Advance, Open, Ready, Rollout, RolloutOutcome, Save
from sim_workers.engine.version import sumo_version
from sim_workers.sandbox.confinement import confined_program, environment, probe, python_command
from sim_workers.uploads.inspector import IntakeAnswer, IntakeRequest
from sim_workers.verification.sumo_process import find_sumo
from tests.integration.conftest import OWN
from tests.integration.sim_workers.intruder_stage import IntruderStage, Reports, interpreter_of

_ROOT = Path(__file__).parents[3]
_LIMIT_S = 60.0
_NOBODY = 65534
_LANDLOCK = max(0, ctypes.CDLL(None).syscall(444, None, ctypes.c_size_t(0), 1))
_HAS_SECCOMP = "Seccomp:" in Path("/proc/self/status").read_text()
needs_landlock = pytest.mark.skipif(_LANDLOCK == 0, reason="this kernel has no Landlock")
needs_seccomp = pytest.mark.skipif(not _HAS_SECCOMP, reason="this kernel has no seccomp")
_STAGES = ("fork_server", "holder", "rollout", "moved")
_OPENED = _STAGES[1:]


@pytest.fixture(scope="module", params=[None, _NOBODY], ids=["self", "nobody"])
def stage(request: pytest.FixtureRequest) -> Iterator[IntruderStage]:
    """For the user who runs the tests, and for an ordinary one where they are run by root."""
    user: int | None = request.param
    if user is not None and os.geteuid() != 0:
        pytest.skip("only root can be somebody else")
    if interpreter_of(user) is None:
        pytest.skip("no Python with libsumo that this user may start")
    with tempfile.TemporaryDirectory(prefix="greenfork-confinement-") as folder:
        yield IntruderStage(Path(folder), user)


@pytest.fixture(scope="module")
def reports(stage: IntruderStage) -> Reports:
    """What each of the processes could do."""
    found = stage.run()
    assert tuple(found) == _STAGES
    assert stage.victim.read_text() == "precious"
    return found


def _came(reports: Reports, stages: tuple[str, ...], *attempts: str) -> set[str]:
    return {reports[stage][attempt] for stage in stages for attempt in attempts}


@needs_landlock
def test_nothing_can_be_written(reports: Reports) -> None:
    """Neither a neighbour's files nor those of the scenario, from the fork server on."""
    attempts = ["write", "append", "remove", "rename", "make", "make at home", "write own input"]
    attempts += ["truncate"] if _LANDLOCK >= 3 else []
    assert _came(reports, _STAGES, *attempts) == {"EACCES"}
    assert _came(reports, _STAGES, "write nowhere") == {"done"}


@needs_landlock
def test_only_the_scenario_can_be_read(reports: Reports) -> None:
    """As soon as it is known which; by whatever name it is tried."""
    attempts = ("read passwd", "read passwd by a link", "read a neighbour", "list a neighbour")
    assert _came(reports, _OPENED, *attempts) == {"EACCES"}
    assert _came(reports, _STAGES, "read own input") == {"done"}


@needs_landlock
def test_other_processes_are_out_of_reach(reports: Reports) -> None:
    """Of the same user, but not confined: no look inside, and no signal."""
    assert _came(reports, _STAGES, "read an environment") == {"EACCES"}
    if _LANDLOCK >= 6:
        assert _came(reports, _STAGES, "signal") == {"EPERM"}


@needs_seccomp
def test_nobody_can_be_called(reports: Reports) -> None:
    """By TCP, by UDP, by a socket in the file system, or by a ring that makes sockets."""
    attempts = ("connect", "send", "connect by path", "ring")
    assert _came(reports, _STAGES, *attempts) == {"EPERM"}


@needs_seccomp
def test_no_program_can_be_executed(reports: Reports) -> None:
    """Nor can the process become a user of its own, with new rights."""
    assert _came(reports, _STAGES, "execute", "new user") == {"EPERM"}


@needs_seccomp
def test_only_what_has_not_stepped_may_watch_over_memory(reports: Reports) -> None:
    """A rollout, and a holder that moved on, cannot."""
    assert _came(reports, ("rollout", "moved"), "read memory") == {"EPERM"}
    assert _came(reports, ("rollout", "moved"), "catch faults") == {"ENOSYS"}, "nobody allows it"
    assert _came(reports, ("fork_server", "holder"), "read memory") == {"done"}


def test_no_capability_is_left(reports: Reports) -> None:
    """Whoever the user is, and none can be gained."""
    for stage in _STAGES:
        status = reports[stage]["status"]
        assert int(status["CapEff"], 16) == int(status["CapPrm"], 16) == 0
        assert status["NoNewPrivs"] == "1"


def test_environment_holds_listed_names_only(reports: Reports) -> None:
    """What would move the heap, or is secret, never arrives."""
    listed = {"LANG", "LC_ALL", "LC_CTYPE", "LIBSUMO_AS_TRACI", "PYTHONPATH"}
    listed |= {"PROJ_DATA", "PROJ_LIB", "SUMO_HOME"}  # which libsumo sets
    for stage in _STAGES:
        assert set(reports[stage]["variables"]) <= listed


def test_attempts_succeed_in_an_ordinary_process(stage: IntruderStage, reports: Reports) -> None:
    """So that a failure elsewhere means something. It goes last: the victim does not survive it."""
    assert reports
    free = stage.run("free")
    attempts = ["read passwd", "read passwd by a link", "read a neighbour", "list a neighbour"]
    attempts += ["read an environment", "write", "append", "truncate", "remove", "make"]
    attempts += ["make at home", "connect", "send", "connect by path", "execute", "signal"]
    assert {name: free["free"][name] for name in attempts} == dict.fromkeys(attempts, "done")


@needs_landlock
@needs_seccomp
def test_intake_is_confined(tmp_path: Path) -> None:
    """The process that looks at an upload, to that and to a folder of its own."""
    stage = IntruderStage(tmp_path, None)
    with stage.attempts() as config:
        request = IntakeRequest(upload=config.with_name("attempts.json"), folder=stage.home)
        ran = subprocess.run(
            python_command(
                "-m", "sim_workers.sandbox.isolation", f"{__package__}.intruder", "intake"
            ),
            input=request.model_dump_json(),
            env=environment(),
            capture_output=True,
            text=True,
            timeout=_LIMIT_S,
            check=True,
        )
    error = IntakeAnswer.model_validate_json(ran.stdout).error
    assert error is not None
    came = json.loads(error.message)
    denied = ["read passwd", "read passwd by a link", "read a neighbour", "list a neighbour"]
    denied += ["read an environment", "write", "append", "remove", "rename", "make"]
    assert {name: came[name] for name in denied} == dict.fromkeys(denied, "EACCES")
    refused = ["connect", "send", "connect by path", "ring", "execute", "new user", "read memory"]
    assert {name: came[name] for name in refused} == dict.fromkeys(refused, "EPERM")
    assert came["make at home"] == came["read own input"] == "done"


def test_probe_says_what_the_kernel_has() -> None:
    """And with it a gateway, in its log and at ``/v1/info``."""
    found = probe()
    assert found.landlock == _LANDLOCK
    assert found.seccomp == _HAS_SECCOMP
    assert found.capabilities
    assert found.limits


@needs_landlock
def test_logging_swarm_program_writes_nothing(tmp_path: Path) -> None:
    """SUMO opens the file that a traffic light's parameter names: there is no option for it."""
    victim = tmp_path / "victim"
    victim.write_text("precious")
    home = tmp_path / "home"
    shutil.copytree(OWN["crossing"].parent, home)
    network = home / "crossing.net.xml"
    network.write_text(_swarming(network.read_text(), victim))
    with (
        ForkServer() as fork_server,
        fork_server.open(Open(config=str(home / OWN["crossing"].name), seed=1)) as holder,
    ):
        assert holder.call(Advance(to_s=2), Ready, _LIMIT_S).time_s == 2
    assert victim.read_text() == "precious"


def _swarming(network: str, log: Path) -> str:
    """A network whose signal is run by SUMO's swarm, which keeps a log."""
    network = network.replace('type="static"', 'type="swarm"', 1)
    network = re.sub(r"(<tlLogic[^>]*>)", rf'\1<param key="SWARMLOG" value="{log}"/>', network)
    for state, sides in (("GGrrrrGGrrrr", "ns"), ("rrrGGrrrrGGr", "ew")):
        lanes = " ".join(f"{side}_in_{lane}" for side in sides for lane in (0, 1))
        kind = f'minDur="5" maxDur="50" type="target;decisional" targetLanes="{lanes}"'
        network = network.replace(f'state="{state}"', f'state="{state}" {kind}')
    return re.sub(
        r'(<phase duration="(?:3|12)"\s+state="\w+")/>',
        r'\1 type="transient;notdecisional"/>',
        network,
    )


def test_state_is_saved_by_a_process_that_can_write_nothing(tmp_path: Path) -> None:
    """To the file that its owner made; where that cannot be made, the holder lives on."""
    with (
        ForkServer() as fork_server,
        fork_server.open(Open(config=str(OWN["crossing"]), seed=1)) as holder,
    ):
        holder.call(Advance(to_s=100), Ready, _LIMIT_S)
        with pytest.raises(FileNotFoundError):
            holder.call(Save(path=str(tmp_path / "missing" / "state.xml")), Ready, _LIMIT_S)
        target = tmp_path / "state.xml"
        target.write_text("longer than nothing")
        assert holder.call(Save(path=str(target)), Ready, _LIMIT_S).time_s == 100
    assert b"<snapshot" in target.read_bytes()
    assert target.read_bytes().endswith(b"</snapshot>\n")


def test_rollout_without_bounds_ends_with_a_code(tmp_path: Path) -> None:
    """A flow of sixty thousand vehicles a second; the holder goes on with the next."""
    home = tmp_path / "home"
    shutil.copytree(OWN["crossing"].parent, home)
    (home / "crossing.rou.xml").write_text(
        '<routes><route id="r" edges="n_in w_out"/>'
        '<flow id="f" route="r" begin="5" end="3600" period="exp(60000)"/></routes>'
    )
    wanted = Open(config=str(home / OWN["crossing"].name), seed=1)
    rollout = Rollout(signal_decisions=(), observe=(), horizon_s=40, limit_s=_LIMIT_S)
    with ForkServer(max_memory_bytes=480 << 20) as fork_server, fork_server.open(wanted) as holder:
        with pytest.raises(OutOfMemory) as refused:
            holder.call(rollout, RolloutOutcome, 2 * _LIMIT_S)
        assert not refused.value.retryable
        short = rollout.model_copy(update={"horizon_s": 2})
        assert holder.call(short, RolloutOutcome, _LIMIT_S).unwrap().network_queue_veh == 0


def test_rollouts_are_bounded_by_what_they_begin_from(reports: Reports) -> None:
    """Where nobody names a bound: twice the holder's memory and a gigabyte."""
    own, unbounded = reports["holder"]["memory"]
    used, bound = reports["rollout"]["memory"]
    assert unbounded == -1
    assert used < bound <= 2 * own + (1 << 30)


@needs_landlock
def test_program_is_kept_to_its_files(tmp_path: Path) -> None:
    """As the ``sumo`` of a verification is: it runs, and reads and writes what it was given."""
    given, kept = tmp_path / "given", tmp_path / "kept"
    for folder in (given, kept):
        folder.mkdir()
        (folder / "in").write_text("read")
    script = 'read -r a < "$1/in"; echo "$a" > "$1/out"; /bin/true < /dev/null'
    ran = {}
    for folder in (given, kept):
        command = ["/bin/bash", "-c", script, "bash", str(folder)]
        ran[folder] = subprocess.run(
            confined_program([*command], read=[Path("/bin"), given], write=[given]),
            env=environment(),
            capture_output=True,
            text=True,
            timeout=_LIMIT_S,
            check=False,
        )
    assert (given / "out").read_text() == "read\n"
    assert not (kept / "out").exists()
    assert "Permission denied" in ran[kept].stderr


_TALK = """
import json, os, socket, subprocess, sys
import traci
from sim_workers.sandbox.confinement import confined_program, environment, own_loopback
sumo, folder, config, out = sys.argv[1:]
is_alone = own_loopback()
with socket.socket() as free:
    free.bind(("127.0.0.1", 0))
    port = free.getsockname()[1]
command = [sumo, "-c", config, "--remote-port", str(port), "--tripinfo-output", out]
with subprocess.Popen(
    confined_program(command, read=[], write=[folder]), env=environment(), stdout=subprocess.DEVNULL
) as own:
    try:
        talk = traci.connect(port, numRetries=30)
        talk.simulationStep(60)
        time_s = talk.simulation.getTime()
        status = open(f"/proc/{own.pid}/status").read()
        theirs = os.readlink(f"/proc/{own.pid}/ns/net")
        talk.close()
    except traci.exceptions.FatalTraCIError:
        time_s = status = theirs = None
    own.wait(60)
interfaces = [name for _, name in socket.if_nameindex()]
print(json.dumps([is_alone, time_s, status, theirs, interfaces]))
"""


@needs_landlock
@pytest.mark.parametrize("is_inside", [True, False])
def test_sumo_of_a_verification_is_confined(tmp_path: Path, is_inside: bool) -> None:
    """It answers over a loopback of its own, and writes into its folder and nowhere else."""
    home, out = tmp_path / "home", tmp_path / "trips.xml"
    shutil.copytree(OWN["crossing"].parent, home)
    out = home / "trips.xml" if is_inside else out
    sumo = find_sumo(sumo_version())
    arguments = [str(sumo), str(home), str(home / OWN["crossing"].name), str(out)]
    ran = subprocess.run(
        [sys.executable, "-c", _TALK, *arguments],
        env={"PYTHONPATH": str(_ROOT)},
        capture_output=True,
        text=True,
        timeout=2 * _LIMIT_S,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    is_alone, time_s, status, theirs, interfaces = json.loads(ran.stdout.splitlines()[-1])
    assert out.exists() == is_inside
    if not is_inside:
        assert time_s is None, "SUMO refuses to run without its output"
        return
    assert time_s == 60
    assert "CapEff:\t0000000000000000" in status
    assert is_alone == probe().network
    if is_alone:
        assert interfaces == ["lo"]
        assert theirs != str(Path("/proc/self/ns/net").readlink())
