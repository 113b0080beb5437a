"""Rollouts: what they are, what became of them, and the processes that do them."""
