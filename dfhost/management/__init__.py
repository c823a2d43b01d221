"""The management API: the HTTP API of the Durable Task extension, over the `TaskHub`. Free of any web framework."""
