"""Scenarios and states that callers upload."""

__all__: list[str] = []
