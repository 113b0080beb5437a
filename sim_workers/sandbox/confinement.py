"""Everything that a process gives up before a stranger's scenario is read in it.

``python -m sim_workers.sandbox.confinement MODULE ARGUMENT…`` confines itself and becomes that
module, which may then load libsumo; ``… --import NAMES MODULE ARGUMENT…`` first imports modules of
the user's own; ``… --program RULES COMMAND…`` becomes another program, the ``sumo`` of a
verification; without arguments it reports what it could give up, which is how :func:`probe` finds
out.

=====================  ==================================================  =======================
when                   what is given up                                    why then
=====================  ==================================================  =======================
a fork server starts   what :mod:`~sim_workers.sandbox.isolation` drops;   before libsumo is loaded
                       writing, programs, sockets:
                       :func:`confine_simulation`
a holder is opened     reading: :func:`read_only`                          the scenario is known
before anything moves  other processes' memory: :func:`before_stepping`    whoever watches over
                                                                           simulations may need it
=====================  ==================================================  =======================

Each is inherited by forked processes, so that a rollout costs at most one more filter. If the
kernel lacks something, the rest still applies; ``docs/security.md`` says what that means.
"""

import contextlib
import importlib
import json
import os
import runpy
import site
import subprocess
import sys
import sysconfig
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from sim_workers.sandbox import landlock, seccomp
from sim_workers.sandbox.isolation import Isolation, isolate, leave_network
from sim_workers.sandbox.landlock import Rules

__all__ = [
    "Confinement",
    "before_stepping",
    "confine_reader",
    "confine_simulation",
    "confined_module",
    "confined_program",
    "environment",
    "libraries",
    "own_loopback",
    "probe",
    "python_command",
    "read_only",
    "write_only",
]

_PROBE_LIMIT_S = 30.0
_KEPT_VARIABLES = tuple(
    """
    LANG LC_ALL LC_CTYPE LD_LIBRARY_PATH PROJ_DATA PROJ_LIB PYTHONHOME SUMO_HOME
    """.split()  # noqa: SIM905  a list to be read
)
_FOR_OWN_MODULES = {
    "PYTHONHASHSEED": "0",
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
}
_NEEDED_PACKAGES = ("sim_workers", "shared", "libsumo", "pydantic")
_NOWHERE = Path("/dev/null")
_SYSTEM = tuple(
    """
    /dev/null /dev/random /dev/urandom /dev/zero /etc/ld.so.cache /etc/localtime /lib /lib32 /lib64
    /proc /sys/devices/system/cpu /usr/lib /usr/lib32 /usr/lib64 /usr/local/lib /usr/local/lib64
    /usr/share/locale /usr/share/proj /usr/share/zoneinfo
    """.split()  # noqa: SIM905  a list to be read
)
"""Libraries, and files that C libraries look up. ``/etc`` and home folders are not included."""


@dataclass(frozen=True)
class Confinement(Isolation):
    """What a simulation process of this machine and this user has given up."""

    landlock: int
    """Version of Landlock, which confines it to its files; 0: it may open what its user may."""
    seccomp: bool
    """Whether it is unable to execute programs and make sockets."""


def environment(roots: Iterable[str] = ()) -> dict[str, str]:
    """The only variables passed to a process that runs SUMO or reads a stranger's files.

    It contains nothing secret, and nothing that moves the heap (``MALLOC_…``, ``GLIBC_TUNABLES``,
    ``LD_PRELOAD``): SUMO's results can depend on the order of addresses.

    Args:
        roots: Folders with modules of the user's own. For their sake there is then no more than one
            thread, which cannot be forked, and sets of texts have the same order everywhere.
    """
    kept = {name: os.environ[name] for name in _KEPT_VARIABLES if name in os.environ}
    own = tuple(roots)
    searched = {str(folder.resolve()) for folder in _site_folders()}
    added = [root for root in own if root not in searched]
    paths = os.pathsep.join(dict.fromkeys([*_import_roots(), *added]))
    said = kept | ({"PYTHONPATH": paths} if paths else {}) | {"LIBSUMO_AS_TRACI": "quiet"}
    return said | (_FOR_OWN_MODULES if own else {})


def python_command(*arguments: str) -> list[str]:
    """Python with arguments, without importing from the folder in which it is started."""
    return [sys.executable, "-P", *arguments]


def confined_module(imports: Sequence[str], module: str, *arguments: str) -> list[str]:
    """A command that confines itself and becomes a module.

    Args:
        imports: Modules of the user's own, imported before, when files may still be written and
            programs run.
        module: What it becomes.
        arguments: The module's arguments.
    """
    own = ("--import", ",".join(dict.fromkeys(imports))) if imports else ()
    return python_command("-m", __name__, *own, module, *arguments)


def confine_simulation() -> bool:
    """Gives up writing, programs, sockets and processes outside; what is open stays open.

    States are saved through ``memfd`` files. Returns whether seccomp is available.
    """
    seccomp.prepare(seccomp.DENIED_TO_STRANGERS)
    landlock.restrict(Rules(write=(_NOWHERE,), execute=(), own_domain=True))
    return seccomp.deny(seccomp.ALWAYS_DENIED)


def read_only(paths: Iterable[Path]) -> None:
    """Gives up reading, except for these, libraries, the data of SUMO and PROJ, and ``/proc``.

    In ``/proc``, Landlock shows the inside only of processes that are confined in the same way.
    """
    landlock.restrict(Rules(read=(*libraries(), *paths)))


def before_stepping() -> None:
    """Gives up looking into other processes and their memory."""
    seccomp.deny(seccomp.DENIED_TO_STRANGERS)


def write_only(paths: Iterable[Path]) -> None:
    """Gives up writing, except for these, and processes outside.

    For a process that takes foreign files apart. Call it before starting a fork server, which it
    could not end otherwise: a confined process is out of reach of those confined separately.
    """
    landlock.restrict(Rules(write=(_NOWHERE, *paths), own_domain=True))


def confine_reader(read: Iterable[Path]) -> bool:
    """Gives up the rest before such a process reads anything: files, programs, sockets.

    Returns whether seccomp is available.
    """
    landlock.restrict(Rules(read=(*libraries(), *read), execute=()))
    return seccomp.deny(seccomp.ALWAYS_DENIED | seccomp.DENIED_TO_STRANGERS)


def own_loopback() -> bool:
    """Cuts this process and its children off from all networks but a 127.0.0.1 of its own.

    Must be called while there is only one thread. Returns whether it succeeded; capabilities are
    given up and limits set in any case.
    """
    is_alone = leave_network(keep_loopback=True)
    isolate(without_network=False)
    return is_alone


def confined_program(
    command: Sequence[str], read: Iterable[Path], write: Iterable[Path]
) -> list[str]:
    """A command that runs another one, confined to these files, libraries and SUMO's data.

    For a ``sumo`` that listens on a port: it uses its parent's network, so the parent must call
    :func:`own_loopback` first. Run it with :func:`environment`, and give it absolute paths.
    """
    rules = {"read": [str(p) for p in read], "write": [str(p) for p in write]}
    launcher = python_command("-m", __name__, "--program", json.dumps(rules))
    return [*launcher, *command]


@cache
def probe() -> Confinement:
    """What simulation processes of this machine and user give up; tried once, in one of them."""
    command = python_command("-m", __name__)
    try:
        said = subprocess.run(
            command, env=environment(), capture_output=True, check=True, timeout=_PROBE_LIMIT_S
        )
        return Confinement(**json.loads(said.stdout))
    except (OSError, subprocess.SubprocessError, ValueError, TypeError):
        return Confinement(False, False, False, 0, False)


@cache
def libraries() -> tuple[Path, ...]:
    """What any process here reads: code of Python, SUMO and the system, and their data.

    Determined when this is first called, so that a process may call it for those that it forks.
    """
    folders = [*map(Path, _SYSTEM), *_python_folders()]
    code = [path for path in _imported() if not any(path.is_relative_to(f) for f in folders)]
    return (*folders, *code, *_data_folders())


def _python_folders() -> list[Path]:
    roots = {sys.prefix, sys.exec_prefix, sys.base_prefix, sys.base_exec_prefix}
    named = [Path(root, name) for root in sorted(roots) for name in ("lib", "lib64")]
    named += [Path(sys.prefix, "pyvenv.cfg"), Path(sys.executable).resolve()]
    return [*named, *_site_folders()]


def _site_folders() -> list[Path]:
    names = ("stdlib", "platstdlib", "purelib", "platlib")
    return [*(Path(sysconfig.get_path(name)) for name in names), Path(site.getusersitepackages())]


def _imported() -> Iterator[Path]:
    """Packages and modules imported from anywhere else, such as a working tree."""
    for name, module in list(sys.modules.items()):
        file = getattr(module, "__file__", None)
        if "." not in name and file:
            yield Path(file).parent if hasattr(module, "__path__") else Path(file)


def _data_folders() -> Iterator[Path]:
    if home := os.environ.get("SUMO_HOME"):
        yield Path(home, "data")
    for name in ("PROJ_DATA", "PROJ_LIB", "LD_LIBRARY_PATH"):
        yield from map(Path, filter(None, os.environ.get(name, "").split(os.pathsep)))


def _import_roots() -> Iterator[str]:
    """The folders of required packages, apart from those that Python searches anyway."""
    known = {folder.resolve() for folder in _site_folders()}
    for name in _NEEDED_PACKAGES:
        spec = find_spec(name)
        if spec is not None and spec.origin is not None:
            root = Path(spec.origin).resolve().parents[1]
            if root not in known:
                yield str(root)


def _become(command: Sequence[str], rules: dict[str, list[str]]) -> None:
    """Turns this process into another program."""
    program = Path(command[0]).resolve()
    known = (*libraries(), program.parent.parent)
    read = tuple(map(Path, rules["read"]))
    write = (_NOWHERE, *map(Path, rules["write"]))
    isolate(without_network=False)
    landlock.restrict(Rules(read=(*known, *read, *write), write=write, execute=known))
    os.execv(command[0], list(command))  # noqa: S606  no shell


def _import_own(modules: Iterable[str]) -> None:
    """Imports modules of the user's own. Who needs one that fails will say so."""
    for module in modules:
        with contextlib.suppress(Exception, SystemExit):
            importlib.import_module(module)


def _main() -> None:
    arguments = sys.argv[1:]
    if arguments[:1] == ["--program"]:
        _become(arguments[2:], json.loads(arguments[1]))
    given_up = isolate()
    if arguments[:1] == ["--import"]:
        _import_own(arguments[1].split(","))
        del sys.argv[1:3], arguments[:2]
    has_seccomp = confine_simulation()
    if arguments:
        # SUMO's modules import numpy if present but do not need it: a fifth of the time to start.
        sys.modules.setdefault("numpy", None)  # type: ignore[arg-type]
        del sys.argv[0]
        runpy.run_module(arguments[0], run_name="__main__", alter_sys=True)
        return
    found = Confinement(**asdict(given_up), landlock=landlock.version(), seccomp=has_seccomp)
    sys.stdout.write(json.dumps(asdict(found)))


if __name__ == "__main__":
    _main()
