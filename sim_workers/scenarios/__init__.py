"""Any ``.sumocfg``: the user's own files, content-addressed, and how they are run."""
