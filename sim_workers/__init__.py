"""Everything that touches SUMO: scenarios, states, the forking engine, rewards, the Ray pool."""

from shared.moved import name_moved_modules

__all__: list[str] = []

name_moved_modules()
