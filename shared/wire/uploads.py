"""What a reward service answers to an uploaded scenario."""

from shared.model import WireModel

__all__ = ["ScenarioView"]


class ScenarioView(WireModel):
    """A scenario that states can be uploaded to: the answer of ``PUT /v1/scenarios``."""

    scenario_id: str
    """``<name>-<12 hex of the SHA-256 of its normalised content>``."""
    name: str
    signals: tuple[str, ...]
    """Its traffic lights, by id."""
    dropped_options: tuple[str, ...]
    """Options of the configuration that were left out, because they write, listen, or are not
    known to be harmless."""
    created: bool
    """Whether it was new; False where it had been uploaded before."""
