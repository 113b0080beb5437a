"""Episodes as environments of other projects: Gymnasium, PettingZoo, TRL.

Nothing outside this room imports Gymnasium or PettingZoo. What users import is
:mod:`greenfork.gym`.
"""
