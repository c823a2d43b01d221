"""The user's function app: load it as the real worker does, and call its functions."""
