"""Bulk jobs: whole files of decisions, scored chunk by chunk, that outlive the gateway."""
