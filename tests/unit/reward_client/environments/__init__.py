"""Environments on episodes that are made up."""
