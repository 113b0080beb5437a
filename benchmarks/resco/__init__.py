"""RESCO's six cities and two grids under every controller that needs no model.

Runs are kept a line each and never done twice; the table beside the published figures is made from
them. Training learners is not its business.
"""
