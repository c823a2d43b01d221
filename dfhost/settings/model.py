"""`Settings`: everything that can be configured, with the extension's defaults. A value without behaviour.

Names and defaults are those of the extension (DurableTaskOptions, AzureStorageOptions) and of the Functions
host (host.json reference, ScriptJobHostOptionsSetup).
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field

DEFAULT_PORT = 7071  # of Core Tools


def processor_count() -> int:
    """Of the processors that this process may use."""
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity else os.cpu_count() or 1


def ten_per_cpu() -> int:
    """The extension's default for each of its three limits."""
    return 10 * processor_count()


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueOptions:
    """extensions.queues. `visibility_timeout`: seconds. `max_bytes`: of a message, as messageEncoding allows."""

    batch_size: int = 16
    new_batch_threshold: int = field(default_factory=lambda: 8 * processor_count())
    max_dequeue_count: int = 5
    visibility_timeout: float = 0.0
    max_bytes: int = 49_152  # 64 KiB of base64


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """`Settings()` is an empty host.json."""

    # -- the task hub ----------------------------------------------------------------------------------------
    hub: str = "TestHubName"
    connection: str = "Storage"  # storageProvider.connectionName, part of the management URLs
    max_activities: int = field(default_factory=ten_per_cpu)
    max_orchestrators: int = field(default_factory=ten_per_cpu)
    max_entities: int = field(default_factory=ten_per_cpu)
    entity_batch_size: int = 5000
    max_actions: int = 100_000
    any_state_overridable: bool = False  # overridableExistingInstanceStates: AnyState
    store_inputs: bool = False  # storeInputsInOrchestrationHistory
    http_poll_seconds: float = 30.0  # httpSettings.defaultAsyncRequestSleepTimeMilliseconds
    default_version: str | None = None
    version_match: str = "CurrentOrOlder"  # or Strict, None
    version_failure: str = "Reject"  # or Fail

    # -- the function app ------------------------------------------------------------------------------------
    route_prefix: str = "api"  # without slashes at its ends; "" for none
    custom_headers: tuple[tuple[str, str], ...] = ()  # of every response that does not have them
    max_outstanding_requests: int | None = None  # None: no limit
    max_concurrent_requests: int | None = None
    function_timeout: float | None = 1800.0  # seconds; None: no limit
    has_extensions: bool = True  # host.json names an extension bundle, or the app installs extensions itself
    queues: QueueOptions = field(default_factory=QueueOptions)
    functions: frozenset[str] = frozenset()  # host.json "functions": only these are loaded; empty: all

    # -- this machine ----------------------------------------------------------------------------------------
    app_settings: Mapping[str, str] = field(default_factory=dict)  # for `set_environment_defaults`
    replay_always: bool = False  # in every episode, whatever it costs
    port: int | None = None
    address: str | None = None
    cors: tuple[str, ...] = ()  # origins; ("*",) for all
    cors_credentials: bool = False
    log_levels: Mapping[str, int] = field(default_factory=dict)  # lower-case category -> Python's level

    # -- for the console -------------------------------------------------------------------------------------
    notes: tuple[str, ...] = ()  # sentences to show at the start
    without_effect: tuple[str, ...] = ()  # keys of host.json that make no difference here
