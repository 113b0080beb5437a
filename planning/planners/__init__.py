"""Planners of others, each run as a program of its own and never imported."""

__all__: list[str] = []
