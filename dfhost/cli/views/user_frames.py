"""Of a traceback the frames that a person can change: those of the app's own code."""

from __future__ import annotations

import os

_LIBRARIES = ("site-packages", "dist-packages", "<frozen ", os.path.dirname(os.__file__) + os.sep)


def user_frames(stack: str) -> str:
    """The text of a traceback without the frames of libraries; all of it if it has no others."""
    frames: list[list[str]] = []
    for line in stack.splitlines():
        if line.startswith("  File ") or not frames:
            frames.append([])
        frames[-1].append(line)
    own = [frame for frame in frames if not any(folder in frame[0] for folder in _LIBRARIES)]
    return "\n".join(line for frame in own or frames for line in frame)
