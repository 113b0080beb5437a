"""GRPO through a reward URL."""
