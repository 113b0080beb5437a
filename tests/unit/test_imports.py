"""Which package may import which, what modules export, and that the command starts at once."""

import ast
import json
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = (
    *("shared", "reward_client", "sim_workers", "planning", "reward_server", "trainer"),
    "greenfork",
)
OURS = frozenset(PACKAGES)
HEAVY = frozenset(
    {"datasets", "fastapi", "libsumo", "matplotlib", "planning", "ray", "reward_server"}
    | {"sim_workers", "sqlalchemy", "torch", "traci", "trainer", "transformers", "trl", "uvicorn"}
)
"""What a module of the command line may import only where it is used."""

ONLY = {
    "shared": {"shared", "pydantic"},
    "reward_client": {
        *("shared", "reward_client", "pydantic", "httpx"),
        *("gymnasium", "numpy", "pettingzoo"),
    },
    "planning": {"shared", "planning", "pydantic", "pyparsing", "structlog", "unified_planning"},
}
"""All that these packages may import beside the standard library."""

NEVER = {
    "sim_workers": OURS - {"shared", "sim_workers"},
    "planning": OURS - {"shared", "planning"},
    "reward_server": {"trainer", "greenfork"},
    "trainer": {"ray", "libsumo", "traci", "sim_workers", "planning"}
    | {"reward_server", "greenfork"},
}
"""What these packages may not import, not even inside a function."""

ALONE = {
    "gymnasium": "reward_client/environments",
    "pettingzoo": "reward_client/environments",
    "ray": "sim_workers/pool",
    "libsumo": "sim_workers/engine",
    "traci": "sim_workers/verification",
    "unified_planning": "planning",
}
"""The only rooms that may import what everybody else must do without."""

ROOMS = {
    "sim_workers": (
        *("sandbox", "scenarios", "engine", "states", "episodes", "pool"),
        *("verification", "datasets", "uploads", "plans", "controllers"),
    ),
}
"""The rooms of a package: each may import those before it."""

MOST_MODULES = 12
"""In a room, beside its ``__init__``; ``greenfork/commands`` has one for each verb."""


@dataclass(frozen=True)
class _Import:
    """One imported module."""

    module: str
    line: int
    is_lazy: bool
    """Inside a function, or for the type checker only."""

    @property
    def name(self) -> str:
        """The package."""
        return self.module.partition(".")[0]


def _modules(*packages: str) -> list[str]:
    return [
        path.relative_to(ROOT).as_posix()
        for package in packages
        for path in sorted((ROOT / package).rglob("*.py"))
    ]


@cache
def _tree(module: str) -> ast.Module:
    return ast.parse((ROOT / module).read_text(), module)


@cache
def _imports(module: str) -> tuple[_Import, ...]:
    return tuple(_imports_below(_tree(module), is_lazy=False))


def _imports_below(node: ast.AST, is_lazy: bool) -> Iterator[_Import]:
    for child in ast.iter_child_nodes(node):
        for name in _imported(child):
            yield _Import(name, child.lineno, is_lazy)  # type: ignore[attr-defined]
        makes_lazy = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        yield from _imports_below(child, is_lazy or makes_lazy or _is_for_typing(child))


def _imported(node: ast.AST) -> list[str]:
    """The modules that a statement imports, ``import_module("x")`` and ``__import__`` included."""
    match node:
        case ast.Import():
            return [alias.name for alias in node.names]
        case ast.ImportFrom():
            assert node.level == 0, f"line {node.lineno}: relative import"
            return [node.module or ""]
        case ast.Call(
            func=ast.Name(id="import_module" | "__import__") | ast.Attribute(attr="import_module"),
            args=[ast.Constant(value=str(name)), *_],
        ):
            return [name]
    return []


def _is_for_typing(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING")


def _offences(modules: list[str], forbidden: set[str] | frozenset[str]) -> list[str]:
    return [
        f"{module}:{found.line} imports {found.name}"
        for module in modules
        for found in _imports(module)
        if found.name in forbidden
    ]


def test_there_is_something_to_check() -> None:
    """Every package is there, and imports are found in it."""
    for package in PACKAGES:
        assert sum(len(_imports(module)) for module in _modules(package)) > 5


def test_every_way_to_import_is_seen() -> None:
    """The checks below rest on this reading of imports."""
    source = (
        "import a.b\nfrom c import d\nif TYPE_CHECKING:\n    import e\n"
        "def f():\n    import g\n    importlib.import_module('h.i')\n"
        "class K:\n    import l\ntry:\n    import m\nexcept ImportError:\n    __import__('n')\n"
    )
    found = {(one.name, one.is_lazy) for one in _imports_below(ast.parse(source), is_lazy=False)}
    eager, lazy = {"a", "c", "l", "m", "n"}, {"e", "g", "h"}
    assert found == {(name, False) for name in eager} | {(name, True) for name in lazy}


@pytest.mark.parametrize("package", ONLY)
def test_package_imports_only(package: str) -> None:
    """Beside the standard library it imports what the list says, and nothing else."""
    allowed = ONLY[package] | set(sys.stdlib_module_names)
    modules = _modules(package)
    used = {found.name for module in modules for found in _imports(module)}
    assert _offences(modules, used - allowed) == []


@pytest.mark.parametrize("package", NEVER)
def test_package_never_imports(package: str) -> None:
    """Dependencies point one way."""
    assert _offences(_modules(package), frozenset(NEVER[package])) == []


@pytest.mark.parametrize("library", ALONE)
def test_library_is_imported_in_one_room(library: str) -> None:
    """Ray stays in the pool, libsumo in the engine, TraCI in the independent path."""
    inside = _modules(ALONE[library])
    outside = [module for module in _modules(*PACKAGES) if module not in inside]
    assert _offences(outside, {library}) == []
    assert library in {found.name for module in inside for found in _imports(module)}


@pytest.mark.parametrize("package", ROOMS)
def test_rooms_import_one_way(package: str) -> None:
    """A room knows those before it, and none of those behind."""
    rooms = ROOMS[package]
    assert {
        path.name for path in (ROOT / package).iterdir() if (path / "__init__.py").exists()
    } == (set(rooms))
    for number, room in enumerate(rooms):
        behind = {f"{package}.{later}" for later in rooms[number + 1 :]}
        offences = [
            f"{module}:{found.line} imports {found.module}"
            for module in _modules(f"{package}/{room}")
            for found in _imports(module)
            if ".".join(found.module.split(".")[:2]) in behind
        ]
        assert offences == []


def test_rooms_are_small() -> None:
    """Who looks for something sees all names of a folder at once."""
    packages = ("shared", "sim_workers", "reward_server", "trainer")
    rooms = Counter(module.rpartition("/")[0] for module in _modules(*packages))
    modules = {
        room: count - (ROOT / room / "__init__.py").exists() for room, count in rooms.items()
    }
    assert {room: count for room, count in modules.items() if count > MOST_MODULES} == {}


def test_command_line_imports_what_is_heavy_where_it_is_used() -> None:
    """No module of the command line imports a heavy package when it is loaded itself."""
    offences = [
        f"{module}:{found.line} imports {found.name}"
        for module in _modules("greenfork")
        for found in _imports(module)
        if found.name in HEAVY and not found.is_lazy
    ]
    assert offences == []


def _exports(module: str) -> list[str] | None:
    for node in _tree(module).body:
        match node:
            case (
                ast.Assign(targets=[ast.Name(id="__all__")], value=value)
                | ast.AnnAssign(target=ast.Name(id="__all__"), value=ast.expr() as value)
            ):
                return _strings(value)
    return None


def _strings(value: ast.expr) -> list[str]:
    """Those of a list, ``*("a", "b")`` in it included."""
    assert isinstance(value, ast.List | ast.Tuple)
    found: list[str] = []
    for each in value.elts:
        if isinstance(each, ast.Starred):
            found += _strings(each.value)
        else:
            found.append(str(ast.literal_eval(each)))
    return found


def _names(module: str) -> set[str]:
    """Every name that is bound somewhere in a module."""
    found = set()
    for node in ast.walk(_tree(module)):
        match node:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                found.add(name)
            case ast.ClassDef(name=name) | ast.Name(id=name, ctx=ast.Store()):
                found.add(name)
            case ast.alias(name=name, asname=asname):
                found.add(asname or name)
    return found


def _is_empty(module: str) -> bool:
    """Whether there is nothing but a docstring."""
    return all(isinstance(node, ast.Expr) for node in _tree(module).body)


@pytest.mark.parametrize("module", [m for m in _modules(*PACKAGES) if not _is_empty(m)])
def test_module_says_what_it_exports(module: str) -> None:
    """There is an ``__all__``, without repetition, of names that the module really has."""
    exports = _exports(module)
    if exports is None:
        assert module.endswith("__main__.py"), f"{module} has no __all__"
        return
    assert len(exports) == len(set(exports))
    assert [name for name in exports if name not in _names(module)] == []


@pytest.mark.parametrize("package", PACKAGES)
def test_package_exports_few_names(package: str) -> None:
    """What a package itself exports can be learnt; errors are one tree, told in its docstring."""
    for module in _modules(package):
        if module.endswith("__init__.py") and module != "shared/errors/__init__.py":
            assert len(_exports(module) or []) < 20


def test_help_loads_nothing_heavy() -> None:
    """``greenfork --help`` is instant because it loads no simulator, no server and no model."""
    code = (
        "import sys, json\nfrom greenfork.main import app\n"
        "try:\n    app([{arguments}])\nexcept SystemExit as end:\n    assert not end.code\n"
        "print(json.dumps(sorted({{name.partition('.')[0] for name in sys.modules}})))"
    )
    verbs = (
        "'--help'",
        "'dataset', 'build', '--help'",
        "'score', '--help'",
        "'evaluate', '--help'",
    )
    for arguments in verbs:
        run = subprocess.run(
            [sys.executable, "-c", code.format(arguments=arguments)],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=True,
        )
        loaded = set(json.loads(run.stdout.splitlines()[-1]))
        assert "typer" in loaded
        assert loaded & HEAVY == set()


def test_client_does_without_gymnasium() -> None:
    """Whoever only scores has not installed it."""
    code = (
        "import sys, reward_client, reward_client.environments.trl\n"
        "assert not {'gymnasium', 'pettingzoo'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)


def test_verifying_loads_traci_only_when_it_runs() -> None:
    """Whoever has not installed TraCI can import the verification, and is told when it runs."""
    code = "import sys, sim_workers.verification.verifier\nassert 'traci' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)
