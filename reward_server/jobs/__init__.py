"""Bulk jobs: whole files of decisions, scored in chunks, that survive gateway restarts."""
