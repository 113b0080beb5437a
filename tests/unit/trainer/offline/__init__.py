"""Offline post-training, without training anything."""
