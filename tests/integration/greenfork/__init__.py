"""The command line, with real simulations behind it."""
