"""The demand that a run had not read yet when one of its states was saved.

SUMO reads route files bit by bit, some 200 seconds ahead, and draws random numbers while it reads.
A state contains what was read so far, and up to which time: ``loaderTime``. If a restored
simulation read the files from the beginning, it would read flows that have ended and repeat draws.
Given the rest of each file instead, it continues to read at the same moment and draws the same
numbers (docs/adr/0016).

Demand in additional files is read completely before the run begins. It is in the state, so it is
removed from these files when the state is restored.
"""

import html
import re
from bisect import bisect_right
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from xml.parsers import expat

from sim_workers.scenarios.config import parse_seconds, read_configuration, render_configuration
from sim_workers.scenarios.files import TAG, unpacked
from sim_workers.scenarios.inputs import split_names
from sim_workers.scenarios.scenario import CONFIG_NAME
from sim_workers.states.state_file import version_and_time

__all__ = ["RESTORE_CONFIG_NAME", "Demand"]

RESTORE_CONFIG_NAME = "restore.sumocfg"
"""Configuration that continues a state; datasets up to version 0.1 have one for all states."""
_DEMAND = {
    "container": "container",
    "containerFlow": "container",
    "flow": "flowState",
    "person": "person",
    "personFlow": "person",
    "trip": "vehicle",
    "vehicle": "vehicle",
}
"""Elements of demand, and the element under which a state has them."""
_DEFINITIONS = {"route", "routeDistribution", "vType", "vTypeDistribution"}
"""Elements to which demand refers. A state has them, too; defined twice, draws would differ."""
_NEED_DEFINITIONS = {"calibrator", "routeProbReroute"}
"""Infrastructure that cannot be read before the routes and types that it names."""
_READ_ANY_TIME = _DEFINITIONS | {"routes", "stop", "param", "trip", "vehicle"}
"""Elements that, read from a single file, share no draws with anything else: they may be read ahead
when a state is opened, so that no rollout has to read them."""
_OPAQUE = {"include", "interval"}
"""A file with these elements is not a plain list of demand."""
_KNOWN = re.compile(rb'<(vehicle|flowState|person|container)\s+id="([^"]*)"')
_ENDLESS = re.compile(
    rb"<flowState(?![^>]*\s(?:end|period|vehsPerHour|perHour|probability)=)"
    rb'[^>]*?\snumber="[^"]*"'
)
_LOADER_TIME = re.compile(rb'(<delay\b[^>]*?\bloaderTime=")([^"]*)(")')
_MS = 1000


@dataclass(frozen=True)
class _Element:
    """An element directly below the root of a file."""

    tag: str
    id: str
    depart_ms: float | None
    """Its first departure; None if it gives no time or is not demand."""
    begin: int
    end: int
    """Its position in the file, in bytes."""


class Demand:
    """The demand in the files of a scenario.

    Args:
        folder: The files of the scenario.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lists: dict[str, _List] = {}

    @cached_property
    def _options(self) -> dict[str, str]:
        return read_configuration(self._folder / CONFIG_NAME).options

    @property
    def _route_files(self) -> list[str]:
        return split_names(self._options.get("route-files", ""))

    def settle(self, state: bytes) -> tuple[bytes, dict[str, int] | None]:
        """Finds how far each route file had been read when a state was saved.

        Args:
            state: The state file.

        Returns:
            The state, with a ``loaderTime`` that loses no vehicle; and the number of bytes read
            from each route file that was not read to its end, or None if that cannot be
            determined and the state cannot be continued from its file.
        """
        state = self._with_ends(state)
        found = _LOADER_TIME.search(state)
        if found is None:  # everything has been read
            return state, {}
        loader_ms = round(float(found[2]))
        known = {(m[1].decode(), html.unescape(m[2].decode())) for m in _KNOWN.finditer(state)}
        read: dict[str, int] = {}
        for name in self._route_files:
            elements = self._list(name)
            if not elements.is_plain:
                return state, None
            position = elements.position(known, loader_ms)
            if position is None:
                continue
            read[name] = position
            if len(self._route_files) == 1 and elements.tags <= _READ_ANY_TIME:
                loader_ms = round(float(version_and_time(state)[1]) * _MS)
                state = _LOADER_TIME.sub(rb"\g<1>%d\g<3>" % loader_ms, state, count=1)
            elif elements.is_due(position, loader_ms):
                # SUMO skips vehicles that depart at that very millisecond.
                state = _LOADER_TIME.sub(rb"\g<1>%d\g<3>" % (loader_ms - 1), state, count=1)
        return state, read

    def _with_ends(self, state: bytes) -> bytes:
        """A state whose flows end when they did in the run.

        A flow with a number but no end is spread until the configuration's end. SUMO does not save
        that, and would spread the rest over a day.
        """
        end = self._options.get("end", "-1")
        if (_milliseconds(end) or -1) < 0:
            return state
        return _ENDLESS.sub(rb'\g<0> end="%s"' % html.escape(end).encode(), state)

    def write_restoring(self, folder: Path, read: Mapping[str, int]) -> Path:
        """Writes the files that continue a state, with links to those that the run has, too.

        Args:
            folder: The folder, which is created.
            read: The bytes read, by route file; the other files were read to their end.

        Returns:
            The configuration.
        """
        folder.mkdir(parents=True)
        for path in self._folder.iterdir():
            if path.name != CONFIG_NAME:
                (folder / path.name).symlink_to(path.resolve())
        options = dict(self._options)
        options.pop("random-depart-offset", None)
        rest: list[str] = []
        for name in self._route_files:
            if name in read:
                rest.append(f"rest{len(rest)}.rou.xml")
                content = self._read(name)
                (folder / rest[-1]).write_bytes(_rest(content, read[name]))
        options["route-files"] = ",".join(rest)
        if not rest:
            del options["route-files"]
        options |= self._without_demand(folder)
        config = folder / RESTORE_CONFIG_NAME
        config.write_bytes(render_configuration(options))
        return config

    def _without_demand(self, folder: Path) -> dict[str, str]:
        """Writes additional files without what is in the state; returns their names."""
        names = split_names(self._options.get("additional-files", ""))
        if not names:
            return {}
        lists = [self._list(name) for name in names]
        tags = {tag for each in lists for tag in each.tags}
        taken = set(_DEMAND)
        if not tags & _NEED_DEFINITIONS and tags & taken:
            taken |= _DEFINITIONS
        written = []
        for number, (name, each) in enumerate(zip(names, lists, strict=True)):
            if each.tags & taken:
                name = f"rest{number}.add.xml"
                (folder / name).write_bytes(each.without(taken))
            written.append(name)
        return {"additional-files": ",".join(written)}

    def _list(self, name: str) -> "_List":
        if name not in self._lists:
            self._lists[name] = _List(self._read(name))
        return self._lists[name]

    def _read(self, name: str) -> bytes:
        path = self._folder / name
        return unpacked(path, path.read_bytes())


class _List:
    """A file as the list of the elements directly below its root."""

    def __init__(self, content: bytes) -> None:
        self._content = content
        self._elements: list[_Element] = []
        self._open: list[tuple[str, str, float | None, int]] = []
        self._depth = 0
        self.tags: set[str] = set()
        self._parser = expat.ParserCreate()
        self._parser.StartElementHandler = self._start
        self._parser.EndElementHandler = self._end
        self._parser.Parse(self._content, True)

    @property
    def is_plain(self) -> bool:
        """Whether it can be cut between any two elements."""
        return not self.tags & _OPAQUE and not self._content.startswith((b"\xff\xfe", b"\xfe\xff"))

    def position(self, known: set[tuple[str, str]], loader_ms: int) -> int | None:
        """The byte after which reading continues; None if the file was read to its end.

        The last element read departs no earlier than ``loader_ms``, because that is why reading
        stopped there; so it has yet to depart, and is in the state.

        Args:
            known: Element and id of everything in the state.
            loader_ms: How far ahead demand had been read, milliseconds.
        """
        late = [
            index
            for index, each in enumerate(self._elements)
            if each.depart_ms is not None and each.depart_ms >= loader_ms
        ]
        if not late:
            return None
        read = (index for index in reversed(late) if _is_known(self._elements[index], known))
        last = next(read, late[0])  # one not in the state, perhaps scaled away
        latest_ms = self._elements[last].depart_ms
        for each in self._elements[last + 1 :]:  # SUMO ignores what departs before its predecessor
            if latest_ms is None or each.depart_ms is None or each.depart_ms >= latest_ms:
                break
            last += 1
        return self._elements[last].end

    def is_due(self, position: int, loader_ms: int) -> bool:
        """Whether the next element after a position is no flow and departs no later than that."""
        ends = [each.end for each in self._elements]
        for each in self._elements[bisect_right(ends, position) :]:
            if each.depart_ms is not None:
                if each.depart_ms > loader_ms:
                    return False
                if each.tag != "flow":
                    return True
        return False

    def without(self, tags: Iterable[str]) -> bytes:
        """The file without the elements that have these tags."""
        parts, at = [], 0
        for each in self._elements:
            if each.tag in tags:
                parts.append(self._content[at : each.begin])
                at = each.end
        return b"".join([*parts, self._content[at:]])

    def _start(self, tag: str, attributes: Mapping[str, str]) -> None:
        self._depth += 1
        begin = self._parser.CurrentByteIndex
        self.tags.add(tag)
        if self._depth == 2:
            depart = attributes.get("depart", attributes.get("begin", "0"))
            depart_ms = _milliseconds(depart) if tag in _DEMAND else None
            self._open.append((tag, attributes.get("id", ""), depart_ms, begin))

    def _end(self, tag: str) -> None:
        self._depth -= 1
        if self._depth == 1:
            _, name, depart_ms, begin = self._open.pop()
            end = _end_of_tag(self._content, begin)
            if not self._content.endswith(b"/>", begin, end):  # the parser is at its closing tag
                end = self._content.index(b">", self._parser.CurrentByteIndex) + 1
            self._elements.append(_Element(tag, name, depart_ms, begin, end))


def _end_of_tag(content: bytes, begin: int) -> int:
    found = TAG.match(content, begin)
    return found.end() if found else content.index(b">", begin) + 1


def _rest(content: bytes, position: int) -> bytes:
    """The rest of a file after a position, below its own root."""
    parser = expat.ParserCreate()
    found: list[int] = []

    def note(tag: str, attributes: object) -> None:
        found.append(parser.CurrentByteIndex)
        parser.StartElementHandler = None

    parser.StartElementHandler = note
    parser.Parse(content[:position], False)
    return content[: _end_of_tag(content, found[0])] + b"\n" + content[position:]


def _is_known(element: _Element, known: set[tuple[str, str]]) -> bool:
    kind = _DEMAND[element.tag]
    if (kind, element.id) in known:
        return True
    return element.tag in ("personFlow", "containerFlow") and (kind, f"{element.id}.0") in known


def _milliseconds(text: str) -> float | None:
    """A time in SUMO's notation; None for ``triggered`` and the like."""
    try:
        seconds = parse_seconds(text)
    except ValueError:
        return None
    return round(seconds * _MS)
