"""The HTTP server: it serves the app's HTTP functions, `/admin`, the home page and the management API."""
