"""Bodies read without holding the event loop: small ones here, others in a process of their own."""
