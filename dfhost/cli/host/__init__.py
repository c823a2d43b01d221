"""The host that `start` and `run` have in their own process: how its app is loaded, loaded again, and how it ends."""
