"""Tests of whole Durable Functions apps, in the test's own process, with time under control.

With pytest the fixture `durable` is there as soon as dfhost is installed; without it, ``with Host() as durable``.
docs/testing.md shows both. This module only names what is public, so that the plugin costs a test run nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dfhost.testing.durable import Durable
    from dfhost.testing.entities import Entity
    from dfhost.testing.errors import (
        BrokenFault,
        HostCrashed,
        NotDeterministic,
        NotIdle,
        RunEnded,
        RunFailed,
        StillWaiting,
        UnmetFault,
    )
    from dfhost.testing.faults import Stub
    from dfhost.testing.host import Host
    from dfhost.testing.queues import Queue
    from dfhost.testing.responses import Response
    from dfhost.testing.runs import Run

_HOMES = {
    "BrokenFault": "errors",
    "Durable": "durable",
    "Entity": "entities",
    "Host": "host",
    "HostCrashed": "errors",
    "NotDeterministic": "errors",
    "NotIdle": "errors",
    "Queue": "queues",
    "Response": "responses",
    "Run": "runs",
    "RunEnded": "errors",
    "RunFailed": "errors",
    "StillWaiting": "errors",
    "Stub": "faults",
    "UnmetFault": "errors",
}
__all__ = [  # noqa: RUF022 - in the order of docs/testing-reference.md
    "Host",
    "Durable",
    "Run",
    "Entity",
    "Queue",
    "Response",
    "Stub",
    "StillWaiting",
    "RunFailed",
    "RunEnded",
    "NotIdle",
    "NotDeterministic",
    "BrokenFault",
    "HostCrashed",
    "UnmetFault",
]


def __getattr__(name: str) -> Any:
    from importlib import import_module

    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
