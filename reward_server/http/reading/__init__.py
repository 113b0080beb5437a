"""Reads bodies without blocking the event loop: light ones here, others in another process."""
