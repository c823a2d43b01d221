"""Timer triggers: runs the app's timer functions on their schedules.

Stores nothing. HTTP functions are served by `http/`; the timers of orchestrators belong to `dispatch/`.
"""
