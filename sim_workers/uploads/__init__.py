"""What strangers send: unpacked, looked through, and stored."""
