"""Who may come in, and what each may do: API keys, scopes, the gate before every route."""
