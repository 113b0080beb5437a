"""The independent path: plain ``sumo`` on the user's own files, beside what is stored."""
