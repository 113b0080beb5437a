"""What every training shares: start, resume, checkpoints, metrics on disk."""
