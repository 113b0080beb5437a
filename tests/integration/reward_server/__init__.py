"""The gateway with real workers."""
