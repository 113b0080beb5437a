"""What strangers send: unpacked, inspected and stored."""
