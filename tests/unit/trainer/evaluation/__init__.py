"""Judging policies: figures that can be worked out by hand."""
