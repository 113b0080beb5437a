"""Bulk jobs: what is pure in them, and the runner in a small world."""
