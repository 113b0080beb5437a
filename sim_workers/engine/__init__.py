"""One simulation: opened, read, controlled, stepped, forked. The only package that uses libsumo."""
