"""HTTP: the application, its middleware, limits and routes."""
