"""Leases, runs, commits: the loops that drive episodes, activities, entities and timers."""
