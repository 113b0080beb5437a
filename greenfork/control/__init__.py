"""Whole episodes under controllers: who answers, and what is shown and kept of them."""
