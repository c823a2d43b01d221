"""Runs the app's timer functions on their schedules, and its queue functions on the messages of their queues.

HTTP functions are served by `http/`; the timers of orchestrators belong to `dispatch/`.
"""
