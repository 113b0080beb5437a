"""Saved states: their files, their ids, and how to restore a moment exactly."""
