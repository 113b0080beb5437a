"""Tests of the selector over a pool."""
