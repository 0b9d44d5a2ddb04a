"""How a command begins, runs and ends."""
