"""Scoring over HTTP, beside what HTTP and the engine cost: ``python -m benchmarks.gateway``."""
