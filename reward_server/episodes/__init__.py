"""Episodes in the gateway: records in the database, some of them with a process at a worker."""
