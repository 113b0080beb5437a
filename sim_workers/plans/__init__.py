"""Candidate plans: found by beam search over the simulator, and kept in a file."""
