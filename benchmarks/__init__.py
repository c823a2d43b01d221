"""The benchmark. It measures; nothing of the host or of the app depends on it."""
