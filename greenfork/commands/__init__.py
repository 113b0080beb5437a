"""The commands of ``greenfork``, one verb a file."""
