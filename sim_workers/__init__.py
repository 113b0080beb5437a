"""Everything that touches SUMO: scenarios, states, the forking engine, rewards, the Ray pool."""
