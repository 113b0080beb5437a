"""Without Ray, SUMO, sockets or sleep."""
