"""Bulk jobs: whole files of decisions, scored piece by piece, that outlive the gateway."""
