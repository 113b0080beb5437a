"""The commands of ``greenfork``, one verb per file."""
