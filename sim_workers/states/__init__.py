"""Saved states: their files, their ids, and what brings a moment back exactly."""
