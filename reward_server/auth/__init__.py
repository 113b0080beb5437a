"""Authentication and authorisation: API keys, scopes, and the middleware in front of every route."""
