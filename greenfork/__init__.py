"""The `greenfork` command: one file a verb, imports only when a verb runs."""
