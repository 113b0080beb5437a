"""Tests of :mod:`reward_server.page`."""
