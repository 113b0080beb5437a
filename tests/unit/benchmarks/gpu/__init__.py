"""Tests of the benchmark on GPUs."""
