"""Data that outlives the gateway's process: the database and its contents."""
