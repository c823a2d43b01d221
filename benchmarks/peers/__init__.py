"""The peers: other ways to run the same fan-out in Python, each a module that runs in a process of its own.

A module answers `{"n": 5, "count": 200}` (count runs of n items at once) with the seconds it took, after
checking every result. Each is used as its own documentation says, in one process or with the worker it needs.
"""
