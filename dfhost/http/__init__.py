"""The doors of HTTP: the management API and the app's own routes."""
