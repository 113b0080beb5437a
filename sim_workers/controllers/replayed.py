"""What was decided in an earlier episode, decided once more."""

from collections.abc import Mapping
from pathlib import Path

from shared.errors import InputError
from shared.wire.episodes import EpisodeDecision
from sim_workers.controllers.controller import Controller, DrivenEpisode
from sim_workers.episodes.reading import read_decision
from sim_workers.episodes.record import EpisodeRecord

__all__ = ["ReplayController", "read_record"]


class ReplayController(Controller):
    """Decides step by step what a record says; after its last step nothing."""

    def __init__(self, record: EpisodeRecord) -> None:
        self._steps = record.steps

    def decide(self, episode: DrivenEpisode) -> Mapping[str, EpisodeDecision]:
        """The recorded decisions of this step; completions are read once more.

        Raises:
            InvalidDecision: A completion cannot be read.
        """
        if episode.steps >= len(self._steps):
            return {}
        request, control = self._steps[episode.steps], episode.spec.control
        texts = request.completions.items()
        return dict(request.decisions) | {tls: read_decision(text, control) for tls, text in texts}


def read_record(path: Path) -> EpisodeRecord:
    """Reads a record from a file.

    Raises:
        InputError: ``missing_file``.
        InvalidRequest: ``bad_record``.
    """
    try:
        text = path.read_text()
    except (OSError, UnicodeDecodeError) as exc:
        raise InputError(f"{path} cannot be read: {exc}", "missing_file") from exc
    return EpisodeRecord.from_lines(text.splitlines())
