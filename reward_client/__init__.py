"""A Python client for the reward service, over HTTP."""

from reward_client.blocking import SyncRewardClient
from reward_client.client import ClientOptions, RewardClient
from reward_client.jobs import JobClient
from reward_client.retries import RetryPolicy

__all__ = ["ClientOptions", "JobClient", "RetryPolicy", "RewardClient", "SyncRewardClient"]
