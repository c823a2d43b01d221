"""Finds the frames of a traceback that a person can change: those of the app's own code."""

from __future__ import annotations

import json

# The engine, which imports this, may not import os.
_STANDARD_LIBRARY = json.__file__.rpartition("json")[0]
_LIBRARIES = ("site-packages", "dist-packages", "<frozen ", _STANDARD_LIBRARY)


def is_library(path: str) -> bool:
    """Whether a frame with this file is not of the app's own code."""
    return any(folder in path for folder in _LIBRARIES)


def user_frames(stack: str) -> str:
    """The text of a traceback without the frames of libraries; all of it if it has no others."""
    frames: list[list[str]] = []
    for line in stack.splitlines():
        if line.startswith("  File ") or not frames:
            frames.append([])
        frames[-1].append(line)
    own = [frame for frame in frames if not is_library(frame[0])]
    return "\n".join(line for frame in own or frames for line in frame)
