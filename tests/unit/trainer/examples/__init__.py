"""Tests of examples in prompts."""
