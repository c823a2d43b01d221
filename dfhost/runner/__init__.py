"""The seam between the host and the function app: what the app has, and how its functions are called."""
