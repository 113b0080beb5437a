"""The programs of a scenario's signals, as a reward service tells them.

Answers about episodes hold numbers of each green, not the lanes behind them. Those are in the
states of the scenario, with what each signal was running.
"""

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Protocol

from shared.errors import ConfigError
from shared.wire.states import StateRecord, StateView

if TYPE_CHECKING:
    from shared.signals import Signal

__all__ = ["RemoteSignals", "StateClient"]


class StateClient(Protocol):
    """The calls needed from a service."""

    def states(self, scenario: str | None = None) -> Sequence[StateRecord]: ...  # noqa: D102
    def state(self, state_id: str) -> StateView: ...  # noqa: D102


class RemoteSignals:
    """The signals of one scenario, fetched when they are needed.

    Args:
        client: The service.
        scenario_id: The scenario.
    """

    def __init__(self, client: StateClient, scenario_id: str) -> None:
        self._client = client
        self._scenario_id = scenario_id

    @property
    def definitions(self) -> "Mapping[str, Signal]":
        """Every signal, by id.

        Raises:
            ConfigError: The service has no state of the scenario.
            ServiceError: The service refuses, or does not answer.
        """
        return self._state.definitions

    def program_id(self, tls_id: str) -> str:
        """The program that a signal runs; raises as :attr:`definitions`."""
        return self._state.signals[tls_id].program_id

    @cached_property
    def _state(self) -> StateView:
        states = self._client.states(self._scenario_id)
        if not states:
            raise ConfigError(
                f"sotl needs the lanes of each green, which a service tells with the states of a "
                f"scenario, and it has none of {self._scenario_id}; add one with greenfork push, "
                "leave sotl out, or leave --url out"
            )
        return self._client.state(states[0].state_id)
