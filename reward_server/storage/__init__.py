"""What outlives the gateway's process: the database and what is kept in it."""
