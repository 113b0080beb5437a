"""What a simulation looks like, for those who draw it."""
