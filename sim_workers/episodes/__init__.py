"""Whole runs under decisions from outside; trips and what they add up to."""
