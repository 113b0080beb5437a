"""Putting a rollout's process back to where it began, instead of forking another one."""
