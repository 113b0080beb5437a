"""The page at ``/ui``, and the routes made for it, which anyone may use."""
