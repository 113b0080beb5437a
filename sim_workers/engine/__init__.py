"""One simulation: opened, read, decided at, stepped, and forked. The only room with libsumo."""
