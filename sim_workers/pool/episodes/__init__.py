"""Episodes on the pool's workers: a worker holds some as processes and replays the others."""
