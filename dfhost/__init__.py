"""dfhost: the local durable host for Python Durable Functions apps."""
