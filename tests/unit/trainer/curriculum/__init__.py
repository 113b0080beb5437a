"""Unit tests of the curriculum."""
