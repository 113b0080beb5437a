"""Authentication and authorisation: API keys, scopes, and the middleware before every route."""
