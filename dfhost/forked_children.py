"""What forked children of the app must not keep: descriptors, and handlers of SIGTERM.

Locks and listening sockets would outlive a killed host, and a child whose SIGTERM goes to a handler of dfhost would
not end when the app terminates it. A program that the app starts has neither from the outset; a child that is only
forked has both.
"""

from __future__ import annotations

import os
import signal
import threading

_descriptors: set[int] = set()
_sigterm_handler: object = None  # dfhost's own
_this_fork = threading.local()


def close_in_children(descriptor: int) -> None:
    _descriptors.add(descriptor)


def unregister(descriptor: int) -> None:
    """Before it is closed: the number may be used for something else."""
    _descriptors.discard(descriptor)


def end_at_sigterm(own_handler: object) -> None:
    """`own_handler`: dfhost's handler of SIGTERM in this process. One that the app sets is the children's, too."""
    global _sigterm_handler
    _sigterm_handler = own_handler


def _hold_sigterm() -> None:
    """In the thread that forks: what arrives before the child has its handler would go to that of its parent."""
    _this_fork.mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})


def _release_sigterm() -> None:
    signal.pthread_sigmask(signal.SIG_SETMASK, _this_fork.mask)


def _restore_sigterm() -> None:
    if _sigterm_handler is not None and signal.getsignal(signal.SIGTERM) == _sigterm_handler:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
    _release_sigterm()


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
    os.register_at_fork(
        before=_hold_sigterm, after_in_parent=_release_sigterm, after_in_child=_restore_sigterm
    )
    os.register_at_fork(after_in_child=_close)
