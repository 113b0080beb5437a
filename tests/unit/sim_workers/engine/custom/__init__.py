"""Users' own metrics."""
