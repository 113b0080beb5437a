"""Tests of the trainer that need neither a model nor a service."""
