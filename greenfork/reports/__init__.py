"""Self-contained pages about runs and results."""
