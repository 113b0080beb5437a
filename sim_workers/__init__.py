"""Everything that touches SUMO: scenarios, states, the forking rollout engine, rewards, the pool."""
