"""What a client asks about episodes.

Every call may be repeated without doing anything twice, and is: a step that is done is answered
again, and what begins an episode is sent with a key of its own.
"""

import uuid
from abc import ABC, abstractmethod
from typing import Any, Literal

import httpx

from reward_client.transport import AnyMessage, parsed
from shared.errors import ServiceRefused
from shared.model import WireModel
from shared.wire.episode_views import (
    CandidatesRequest,
    CandidatesResponse,
    EpisodeDetail,
    EpisodePage,
    EpisodeResult,
    EpisodeStatus,
    EpisodeView,
)
from shared.wire.episodes import ControlAction, EpisodeRequest, StepAnswer, StepRequest
from shared.wire.states import StateView

__all__ = ["EpisodeCalls", "TripForm"]

TripForm = Literal["text/csv", "application/vnd.apache.parquet", "application/xml"]
"""Media types in which trips come: a trip a row, or SUMO's own tripinfo output."""

_PAGE = 500
_PATH = "/v1/episodes"


class EpisodeCalls(ABC):
    """The methods of a client that are about episodes.

    Raises (everywhere):
        ServiceUnreachable: The service does not answer, or is too busy.
        ServiceRefused: It refuses; ``code`` says why, ``unknown_episode`` or ``episode_deleted``
            where there is none of that id.
    """

    @abstractmethod
    async def _send(
        self,
        method: str,
        path: str,
        **given: Any,  # noqa: ANN401 - as httpx takes it
    ) -> httpx.Response:
        """One exchange, with retries."""

    @abstractmethod
    def _patience(self) -> httpx.Timeout:
        """The client timeout for requests that may take a simulation."""

    async def create_episode(self, request: EpisodeRequest, key: str | None = None) -> StepAnswer:
        """Begins an episode.

        Args:
            request: What is asked for.
            key: Idempotency key: the same key with the same request is the same episode, even after
                a crash; None generates one.

        Returns:
            Where it begins, in the form of a step's answer.
        """
        headers = {"Idempotency-Key": key or uuid.uuid4().hex}
        return parsed(await self._sent(_PATH, request, headers), StepAnswer)

    async def step_episode(self, episode_id: str, request: StepRequest) -> StepAnswer:
        """Carries decisions out, and steps one interval.

        Raises:
            ServiceRefused: ``step_conflict``, ``step_out_of_order``, ``episode_over``,
                ``unknown_signal``.
        """
        return parsed(await self._sent(f"{_PATH}/{episode_id}/step", request), StepAnswer)

    async def score_candidates(
        self, episode_id: str, request: CandidatesRequest
    ) -> CandidatesResponse:
        """Tries candidates at the present moment; the episode does not move."""
        return parsed(await self._sent(f"{_PATH}/{episode_id}/score", request), CandidatesResponse)

    async def fork_episode(self, episode_id: str, key: str | None = None) -> StepAnswer:
        """Begins another episode from the present moment of one.

        Args:
            episode_id: The one.
            key: Idempotency key; None generates one.
        """
        headers = {"Idempotency-Key": key or uuid.uuid4().hex}
        path = f"{_PATH}/{episode_id}/fork"
        sent = await self._send("POST", path, headers=headers, timeout=self._patience())
        return parsed(sent, StepAnswer)

    async def save_episode(self, episode_id: str) -> StateView:
        """Saves the present moment as a verified state, to be scored on."""
        path = f"{_PATH}/{episode_id}/state"
        return parsed(await self._send("POST", path, timeout=self._patience()), StateView)

    async def episode(self, episode_id: str) -> EpisodeDetail:
        """Where an episode is, with its last answer."""
        return await self._get(EpisodeDetail, f"{_PATH}/{episode_id}")

    async def episodes(self, status: EpisodeStatus | None = None) -> tuple[EpisodeView, ...]:
        """All episodes of the caller, newest first, or those of a status."""
        found: list[EpisodeView] = []
        while True:
            params: dict[str, str | int] = {"limit": _PAGE, "offset": len(found)}
            if status is not None:
                params["status"] = status
            page = parsed(await self._send("GET", _PATH, params=params), EpisodePage)
            found += page.episodes
            if not page.episodes or len(found) >= page.total:
                return tuple(found)

    async def episode_result(self, episode_id: str) -> EpisodeResult:
        """The figures of a finished episode.

        Raises:
            ServiceRefused: ``episode_running``: it is not finished.
        """
        return await self._get(EpisodeResult, f"{_PATH}/{episode_id}/result")

    async def episode_trips(self, episode_id: str, form: TripForm = "text/csv") -> bytes:
        """The trips of a finished episode; raises as :meth:`episode_result`."""
        path = f"{_PATH}/{episode_id}/trips"
        return (await self._send("GET", path, headers={"Accept": form})).content

    async def episode_actions(self, episode_id: str) -> tuple[ControlAction, ...]:
        """What the signals were told so far, to be repeated in plain SUMO."""
        sent = await self._send("GET", f"{_PATH}/{episode_id}/actions")
        try:
            lines = sent.content.splitlines()
            return tuple(ControlAction.model_validate_json(one, extra="ignore") for one in lines)
        except ValueError as exc:
            words = "the service returned a line that is not an action"
            raise ServiceRefused(words, "bad_answer") from exc

    async def delete_episode(self, episode_id: str) -> None:
        """Deletes an episode, finished or not; harmless when repeated."""
        try:
            await self._send("DELETE", f"{_PATH}/{episode_id}")
        except ServiceRefused as exc:
            if exc.code != "episode_deleted":  # by an earlier attempt, whose answer was lost
                raise

    async def _get(self, kind: type[AnyMessage], path: str) -> AnyMessage:
        return parsed(await self._send("GET", path), kind)

    async def _sent(
        self, path: str, message: WireModel, headers: dict[str, str] | None = None
    ) -> httpx.Response:
        return await self._send(
            "POST",
            path,
            content=message.model_dump_json(exclude_none=True).encode(),
            headers={"Content-Type": "application/json"} | (headers or {}),
            timeout=self._patience(),
        )
