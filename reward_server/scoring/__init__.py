"""From items to rewards: admission, cache lookup, single flight, rollouts, rewards."""
