"""The gateway: takes decisions over HTTP, keeps every outcome, and has the rest rolled out."""

from shared.moved import name_moved_modules

__all__: list[str] = []

name_moved_modules()
