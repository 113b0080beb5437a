"""A real GRPO run on a tiny model, against a small service of our own on loopback."""
