"""Users' own metrics: functions of installed packages, sampled in each second of a rollout.

A package adds one by an entry point in the group ``greenfork.metrics``; docs/rewards.md has a
complete example.
"""

from sim_workers.engine.custom.second import Second, SecondMetric

__all__ = ["Second", "SecondMetric"]
