"""The decisions of an earlier episode, repeated."""

from collections.abc import Mapping
from pathlib import Path

from shared.errors import InputError
from shared.wire.episodes import EpisodeDecision, StepRequest
from sim_workers.controllers.controller import Controller, DrivenEpisode
from sim_workers.episodes.record import EpisodeRecord

__all__ = ["ReplayController", "read_record"]


class ReplayController(Controller):
    """Requests what a record says, step by step; after its last step nothing is decided.

    Texts are given as they were, so that one that could not be read is invalid again.
    """

    def __init__(self, record: EpisodeRecord) -> None:
        self._steps = record.steps

    def decide(self, episode: DrivenEpisode) -> Mapping[str, EpisodeDecision]:
        """The decisions of this step, without its texts."""
        return self.request(episode).decisions

    def request(self, episode: DrivenEpisode) -> StepRequest:
        """The present step of the record."""
        if episode.steps >= len(self._steps):
            return StepRequest(step=episode.steps)
        return self._steps[episode.steps]


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
