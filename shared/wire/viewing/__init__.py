"""What is needed to draw networks, futures and the service."""
