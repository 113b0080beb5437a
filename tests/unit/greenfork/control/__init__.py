"""Whole episodes under controllers, without any simulation."""
