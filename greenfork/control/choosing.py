"""The controllers of a comparison: rules, look-ahead, records, models and an endpoint."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from greenfork.control.endpoint import Endpoint, EndpointAnswerer
from greenfork.control.model import model_controllers
from shared.errors import ConfigError

if TYPE_CHECKING:
    from shared.wire.episodes import EpisodeControl
    from sim_workers.controllers.controller import AnswererSpec
    from sim_workers.controllers.look_ahead import LookAheadSettings
    from sim_workers.controllers.making import ControllerSpec
    from trainer.evaluation import Generation

__all__ = ["Choice", "Chosen"]

_MODEL, _ENDPOINT = "model", "endpoint"


@dataclass(frozen=True)
class Chosen:
    """Controllers that are ready to run."""

    controllers: "tuple[ControllerSpec | AnswererSpec, ...]"
    endpoint: EndpointAnswerer | None
    """The controller that asks an endpoint, for its report."""


@dataclass(frozen=True)
class Choice:
    """The controllers requested."""

    names: tuple[str, ...]
    """Controllers by name; ``model`` and ``endpoint`` stand for those of the fields below."""
    models: tuple[str, ...]
    """Folders of models."""
    endpoint: Endpoint | None
    generation: "Generation | None"
    """How the models answer; None without models."""
    look_ahead: "LookAheadSettings"

    def check(self) -> None:
        """Checks that there is something to compare, before anything is loaded.

        Raises:
            ConfigError: No controller was requested, or a name lacks its option.
        """
        if not (self.names or self.models or self.endpoint):
            raise ConfigError("no controller was given; use --controller, --model or --endpoint")
        if _MODEL in self.names and not self.models:
            raise ConfigError("--controller model needs --model with its folder")
        if _ENDPOINT in self.names and self.endpoint is None:
            raise ConfigError("--controller endpoint needs --endpoint and --endpoint-model")

    @contextmanager
    def opened(self, control: "EpisodeControl") -> Iterator[Chosen]:
        """The controllers in the order of the names; those without a name come last.

        Args:
            control: How signals are controlled; models must understand its prompts.

        Raises:
            ConfigError: As for :meth:`check`, or an endpoint or a model cannot be used in this way.
            InputError: ``unknown_controller``, or a record cannot be read.
            ModelError: A model cannot be loaded.
        """
        from sim_workers.controllers.controller import AnswererSpec
        from sim_workers.controllers.making import find_controller

        self.check()
        wanted = dict.fromkeys(self.names)
        if self.models:
            wanted.setdefault(_MODEL)
        if self.endpoint:
            wanted.setdefault(_ENDPOINT)
        answering = {_MODEL, _ENDPOINT}
        known = {n: find_controller(n, self.look_ahead) for n in wanted if n not in answering}
        found: list[ControllerSpec | AnswererSpec] = []
        answerer = EndpointAnswerer(self.endpoint) if self.endpoint else None
        for name in wanted:
            if name == _MODEL and self.generation:
                found += model_controllers(self.models, self.generation, control)
            elif name == _ENDPOINT and answerer:
                found.append(AnswererSpec(_ENDPOINT, answerer))
            else:
                found.append(known[name])
        if answerer is None:
            yield Chosen(tuple(found), None)
            return
        with closing(answerer):
            yield Chosen(tuple(found), answerer)
