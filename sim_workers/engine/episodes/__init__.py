"""Driving the simulation of a holder through an episode."""
