"""Driving a holder's simulation through an episode."""
