"""What a long program has done already: a file a finished stage, with its time and its result."""

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

__all__ = ["Stages", "timed_say"]


def timed_say() -> Callable[[str], None]:
    """Prints lines with the time that has passed since now."""
    began = time.monotonic()

    def say(text: str) -> None:
        seconds = round(time.monotonic() - began)
        print(f"[{seconds // 60:2}:{seconds % 60:02}] {text}", flush=True)

    return say


class Stages:
    """The finished stages of a run, under one folder. A program that is started again skips them.

    Args:
        folder: Where the files are; made when the first stage ends.
        say: Told what is done, and what need not be done again.
        clock: Monotonic seconds.
    """

    def __init__(
        self,
        folder: Path,
        say: Callable[[str], None] = print,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._folder = folder
        self._say = say
        self._clock = clock

    def is_done(self, name: str) -> bool:
        """Whether the stage was finished, now or before."""
        return self._file(name).is_file()

    def run(self, name: str, work: Callable[[], Any]) -> Any:  # noqa: ANN401 - JSON
        """What the stage gave, now or when it was run before.

        Args:
            name: Of the stage; also of its file.
            work: Does it; returns something that JSON can hold.
        """
        file = self._file(name)
        if self.is_done(name):
            self._say(f"{name}: done before")
            return self._read(name)["result"]
        began = self._clock()
        result = work()
        seconds = self._clock() - began
        self._folder.mkdir(parents=True, exist_ok=True)
        unfinished = file.with_suffix(".part")
        unfinished.write_text(json.dumps({"seconds": seconds, "result": result}, indent=1) + "\n")
        unfinished.replace(file)
        self._say(f"{name}: {seconds:.0f} s")
        return result

    def commands(self) -> dict[str, Any]:
        """The stages that are commands, as a user would type them."""
        found = {name: self._read(name)["result"] for name in self._names()}
        return {name: result for name, result in found.items() if isinstance(result, str)}

    def seconds(self) -> dict[str, float]:
        """How long each finished stage took, by name, in the order in which they ended."""
        return {name: self._read(name)["seconds"] for name in self._names()}

    def _names(self) -> list[str]:
        files = sorted(self._folder.glob("*.json"), key=lambda file: file.stat().st_mtime_ns)
        return [file.stem for file in files]

    def _read(self, name: str) -> Any:  # noqa: ANN401 - JSON
        return json.loads(self._file(name).read_text(encoding="utf-8"))

    def _file(self, name: str) -> Path:
        return self._folder / f"{name}.json"
