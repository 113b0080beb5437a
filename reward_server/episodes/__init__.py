"""Episodes in the gateway: records in the database, and processes of some of them at workers."""
