"""The version of SUMO that computes the rewards here."""

from functools import cache
from importlib.metadata import version

from shared.wire.states import Simulator

__all__ = ["program_version", "simulator", "sumo_version"]


@cache
def sumo_version() -> str:
    """The installed libsumo's version, ``1.28.0``, without loading it; read for every state."""
    return version("libsumo")


@cache
def program_version() -> str:
    """The installed version of this program. A confined process asks before it is confined."""
    return version("greenfork")


def simulator() -> Simulator:
    """The installed simulator, as named in results."""
    return Simulator(version=sumo_version())
