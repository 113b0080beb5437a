"""The proof of learning: its parts, without any training."""
