"""RESCO's networks under every controller: plan, results and tables, without any simulation."""
