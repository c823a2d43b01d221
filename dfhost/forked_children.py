"""Descriptors that forked children of the app must not keep: locks and listening sockets would outlive a killed host.

Programs that the app starts do not inherit them anyway (PEP 446); a child that was only forked would.
"""

from __future__ import annotations

import os

_descriptors: set[int] = set()


def close_in_children(descriptor: int) -> None:
    _descriptors.add(descriptor)


def unregister(descriptor: int) -> None:
    """Before it is closed: the number may be used for something else."""
    _descriptors.discard(descriptor)


def _close() -> None:
    if not _descriptors:
        return
    # Python objects of the child still own the numbers, so these lead nowhere instead of being free.
    nowhere = os.open(os.devnull, os.O_RDWR)
    for descriptor in _descriptors:
        os.dup2(nowhere, descriptor, inheritable=False)
    os.close(nowhere)
    _descriptors.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_close)
