"""From items to rewards: admission, look-up, single flight, rollouts, rewards."""
