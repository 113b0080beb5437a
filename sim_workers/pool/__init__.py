"""The Ray pool: workers that hold simulations, and the way of a rollout to one of them."""
