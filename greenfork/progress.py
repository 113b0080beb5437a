"""How far a command is: a bar on standard error where that is a terminal, gone when it is done."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING

from greenfork.screen import plain, screen

if TYPE_CHECKING:
    from rich.progress import ProgressColumn

__all__ = ["progress_bar"]


@contextmanager
def progress_bar(
    title: str,
    *columns: "str | ProgressColumn",
    total: int | None = None,
    is_hidden: bool = False,
    **fields: object,
) -> Iterator[Callable[..., None]]:
    """A bar with the count and the time left.

    Args:
        title: What is being done.
        *columns: What stands between the count and the time left; texts are formats of ``task``.
        total: How much there is to do; None where that is not known yet.
        is_hidden: Shows nothing, even at a terminal.
        **fields: First values: of what the columns show, and ``completed``.

    Yields:
        Moves the bar: takes what :meth:`rich.progress.Progress.update` does.
    """
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    console = screen(stderr=True)
    with Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        *(TextColumn(one) if isinstance(one, str) else one for one in columns),
        TimeRemainingColumn(),
        console=console,
        transient=True,
        disable=is_hidden or not console.is_terminal,
    ) as progress:
        task = progress.add_task(plain(title), total=total)
        progress.update(task, **fields)  # type: ignore[arg-type]  # of whatever kinds columns want
        yield partial(progress.update, task)
