"""The measuring programs."""
