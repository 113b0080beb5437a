"""The words both sides speak: wire schemas, decisions and their parser, prompts, errors.

Depends on pydantic and the standard library only, so that a trainer, a gateway and a simulation
worker can share it without sharing anything else.
"""

from shared.moved import name_moved_modules

__all__: list[str] = []

name_moved_modules()
