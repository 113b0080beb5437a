"""Whole episodes under controllers: what answers, and which results are shown and kept."""
