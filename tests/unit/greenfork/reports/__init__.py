"""Tests of :mod:`greenfork.reports`."""
