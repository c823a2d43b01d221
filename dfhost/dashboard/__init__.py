"""The dashboard: a page that shows what the task hub and the storage queues hold, live, and lets a person act on it.

`dashboard` answers its requests, `streams` makes the streams that keep the page up to date, `actions` does what its
buttons ask for. `static/` is the page itself: HTML, CSS and JavaScript modules, served as they are. Free of any web
framework, as `management/` is; `http/dashboard_requests.py` mounts it.
"""
