"""The four domains that problems are generated for: their PDDL, beside this file."""
