"""Prompts to train on, out of files of several kinds."""
