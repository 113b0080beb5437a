"""Tests of supervised training."""
