"""The gateway: takes decisions over HTTP, keeps every outcome, and has the rest rolled out."""
