"""Episodes beside the bare stepping in them: ``python -m benchmarks.episodes``."""
