"""The management API: the HTTP routes of the Durable Task extension and the RPC twin that the SDK calls."""
