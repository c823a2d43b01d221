"""The client of the management API that the commands use: where the host is, what is asked of it, what is meant."""
