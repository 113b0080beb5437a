"""Episodes as environments of Gymnasium and PettingZoo, in process or at a reward service.

Needs ``pip install 'greenfork[gym]'``; in process also ``greenfork[sim]``.
"""

from greenfork.gym.local import LocalEpisodes
from reward_client.environments.parallel import SignalsParallelEnv
from reward_client.environments.service import ServiceEpisodes
from reward_client.environments.single import SignalEnv
from reward_client.environments.vector import SignalVectorEnv

__all__ = [
    "LocalEpisodes",
    "ServiceEpisodes",
    "SignalEnv",
    "SignalVectorEnv",
    "SignalsParallelEnv",
]
