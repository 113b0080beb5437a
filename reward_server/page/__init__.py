"""The page at ``/ui``, and the routes that were made for it and serve others as well."""
