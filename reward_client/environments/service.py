"""Episodes at a reward service, for the environments."""

from typing import Self

from pydantic import SecretStr

from reward_client.blocking import SyncRewardClient
from shared.wire.episodes import EpisodeFigures, EpisodeRequest, StepAnswer, StepRequest

__all__ = ["ServiceEpisode", "ServiceEpisodes"]


class ServiceEpisodes:
    """Begins episodes at a reward service. Use as a context, or close it.

    Args:
        url: URL of the service, such as ``http://127.0.0.1:8000``.
        scenario_id: The scenario where none is asked for.
        api_key: Its key; None if the service needs none.
        keeps_finished: Whether the service keeps episodes that reached their end, to be looked at
            under ``/v1/episodes``; a training makes thousands.
        client: Replaces the one that would be made, with other timeouts or retries.
    """

    def __init__(
        self,
        url: str,
        scenario_id: str | None = None,
        api_key: str | None = None,
        keeps_finished: bool = False,
        client: SyncRewardClient | None = None,
    ) -> None:
        key = None if api_key is None else SecretStr(api_key)
        self._client = client or SyncRewardClient(url, key)
        self._scenario_id = scenario_id
        self._keeps_finished = keeps_finished

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    @property
    def scenario_id(self) -> str | None:
        """The scenario where none is asked for."""
        return self._scenario_id

    def begin(self, request: EpisodeRequest) -> "ServiceEpisode":
        """Begins an episode.

        Raises:
            ServiceUnreachable: The service does not answer, or is too busy.
            ServiceRefused: It refuses; ``code`` says why.
        """
        answer = self._client.create_episode(request)
        return ServiceEpisode(self._client, answer, self._keeps_finished)

    def close(self) -> None:
        """Closes the connections."""
        self._client.close()


class ServiceEpisode:
    """An episode at the service.

    Args:
        client: Asks for it.
        answer: To its creation.
        keeps_finished: Whether it is kept once it has reached its end.
    """

    def __init__(self, client: SyncRewardClient, answer: StepAnswer, keeps_finished: bool) -> None:
        self._client = client
        self._keeps_finished = keeps_finished
        self._figures: EpisodeFigures | None = None
        self._is_closed = False
        self.answer = answer
        """The last one."""

    def step(self, request: StepRequest) -> StepAnswer:
        """Carries decisions out and steps one interval."""
        self.answer = self._client.step_episode(self.answer.episode_id, request)
        return self.answer

    def figures(self) -> EpisodeFigures:
        """What it adds up to."""
        if self._figures is None:
            result = self._client.episode_result(self.answer.episode_id)
            known = {name: getattr(result, name) for name in EpisodeFigures.model_fields}
            self._figures = EpisodeFigures.model_construct(**known)
        return self._figures

    def close(self) -> None:
        """Deletes it, unless it is to be kept."""
        is_kept = self.answer.truncated and self._keeps_finished
        if not (is_kept or self._is_closed):
            self._client.delete_episode(self.answer.episode_id)
        self._is_closed = True
