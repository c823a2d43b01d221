"""From an app's folder to `Settings`: what each key means, its bounds, and which make no difference here."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

from dfhost.errors import SettingsError
from dfhost.settings.host_json import HostJson
from dfhost.settings.jsonc import Document
from dfhost.settings.local_settings import read_document, read_local
from dfhost.settings.model import Settings, ten_per_cpu

DURABLE = "extensions.durableTask"

# .NET's LogLevel in Python's numbers; None lets nothing through.
LOG_LEVELS = {
    "trace": 5,
    "debug": 10,
    "information": 20,
    "warning": 30,
    "error": 40,
    "critical": 50,
    "none": 60,
}

# They tune telemetry, the platform, or Azure Storage: leaving them out changes nothing an app can see here.
_NO_DIFFERENCE = (
    "$schema",
    "aggregator",
    "concurrency",
    "extensionBundle",
    "fileWatchingEnabled",
    "healthMonitor",
    "isDefaultHostConfig",
    "logging",
    "managedDependency",
    "metadataProviderTimeout",
    "sendCanceledInvocationsToWorker",
    "singleton",
    "telemetryMode",
    "watchDirectories",
    "watchFiles",
    "extensions.http.dynamicThrottlesEnabled",
    "extensions.http.hsts",
    "extensions.http.maxConcurrentRequests",
    "extensions.http.maxOutstandingRequests",
    f"{DURABLE}.appLeaseOptions",
    f"{DURABLE}.entityMessageReorderWindowInMinutes",
    f"{DURABLE}.extendedSessionIdleTimeoutInSeconds",
    f"{DURABLE}.extendedSessionsEnabled",
    f"{DURABLE}.localRpcEndpointEnabled",
    f"{DURABLE}.rollbackEntityOperationsOnExceptions",
    f"{DURABLE}.storageProvider",
    f"{DURABLE}.tracing",
    f"{DURABLE}.useAppLease",
    f"{DURABLE}.useGracefulShutdown",
)


def read_settings(folder: Path, environ: Mapping[str, str] = os.environ) -> Settings:
    """The settings of the app in `folder`. SettingsError names file, line and key.

    A variable of the real environment wins over the local setting of its name, as with Core Tools.
    """
    local = read_local(folder / "local.settings.json")
    notes = list(local.notes)
    shadowed = [
        name for name, text in local.app_settings.items() if environ.get(name) not in (None, "", text)
    ]
    if shadowed:
        notes.append(f"Taken from the environment, not from local.settings.json: {', '.join(shadowed)}.")
    settings = {**local.app_settings, **{name: text for name, text in environ.items() if text}}
    lower = {name.lower(): text for name, text in settings.items()}

    host = HostJson(_host_json(folder / "host.json", notes), folder / "host.json", settings)
    limit = ten_per_cpu()
    timeout = host.span("functionTimeout", timedelta(minutes=30))
    storage = f"{DURABLE}.storageProvider"
    provider = host.text(f"{storage}.type", "AzureStorage")
    on_storage = provider.lower() in ("azurestorage", "azure_storage")
    if not on_storage:
        notes.append(f"storageProvider.type is {provider}; here the task hub is a SQLite file all the same.")
    found = Settings(
        hub=_hub(host, lower, on_storage, notes),
        connection=host.text(f"{storage}.connectionName", "")
        or host.text(f"{storage}.connectionStringName", "")  # the name before extension 2.5
        or "Storage",
        max_activities=host.whole(f"{DURABLE}.maxConcurrentActivityFunctions", limit),
        max_orchestrators=host.whole(f"{DURABLE}.maxConcurrentOrchestratorFunctions", limit),
        max_entities=host.whole(f"{DURABLE}.maxConcurrentEntityFunctions", limit),
        entity_batch_size=host.whole(f"{DURABLE}.maxEntityOperationBatchSize", 5000),
        max_actions=host.whole(f"{DURABLE}.maxOrchestrationActions", 100_000),
        any_state_overridable=host.one_of(
            f"{DURABLE}.overridableExistingInstanceStates", ("NonRunningStates", "AnyState")
        )
        == "AnyState",
        store_inputs=host.flag(f"{DURABLE}.storeInputsInOrchestrationHistory", False),
        http_poll_seconds=host.whole(
            f"{DURABLE}.httpSettings.defaultAsyncRequestSleepTimeMilliseconds", 30_000
        )
        / 1000,
        default_version=host.text(f"{DURABLE}.defaultVersion", "") or None,
        version_match=host.one_of(f"{DURABLE}.versionMatchStrategy", ("CurrentOrOlder", "Strict", "None")),
        version_failure=host.one_of(f"{DURABLE}.versionFailureStrategy", ("Reject", "Fail")),
        route_prefix=host.text("extensions.http.routePrefix", "api").strip("/"),
        function_timeout=timeout.total_seconds() if timeout else None,
        functions=frozenset(str(name) for name in host.under("functions").values()),
        app_settings=local.app_settings,
        port=local.port,
        address=local.address,
        cors=local.cors,
        cors_credentials=local.cors_credentials,
        log_levels=_log_levels(host),
    )
    without_effect, unknown = _unread(host)
    if unknown:
        notes.append(f"Not honoured here (host.json): {', '.join(unknown)}.")
    return replace(found, notes=tuple(notes), without_effect=tuple(without_effect))


def _host_json(file: Path, notes: list[str]) -> Document:
    document = read_document(file)
    if document is None:
        # The Functions host goes on with its defaults, only `func` refuses; so does this host, but says so.
        notes.append('No host.json: its defaults hold. func and Azure want one, {"version": "2.0"} will do.')
        return Document({})
    version = document.value.get("version")
    if document.value and version != "2.0":
        line = document.place(("version",))[0]
        found = "is missing" if version is None else f"is {version!r}"
        raise SettingsError(f'{file}, line {line}: "version" {found}; it has to be "2.0" in every host.json.')
    return document


def _hub(host: HostJson, app_settings: Mapping[str, str], on_storage: bool, notes: list[str]) -> str:
    """The hub's name, `%Setting%` resolved. Rule: AzureStorageOptions, 3 to 45 letters and digits.

    Other storage providers have rules of their own; here the name only has to do for a file. A setting that is
    not here stops the real host. Published apps come without their local.settings.json, though, and a hub is
    only a name: its own is taken, and said.
    """
    key = f"{DURABLE}.hubName"
    written = name = host.text(key, "")
    if not name:
        return _sanitised(app_settings.get("website_site_name", "TestHubName"))
    wanted = re.findall("%([^%]+)%", name)
    for setting in wanted:
        name = name.replace(f"%{setting}%", app_settings.get(setting.lower(), setting))
    if missing := [setting for setting in wanted if setting.lower() not in app_settings]:
        name = _sanitised(name)
        notes.append(
            f'host.json calls the task hub "{written}", and there is no app setting {" or ".join(missing)} '
            f'(local.settings.json, Values): it is "{name}" here.'
        )
    if on_storage and not re.fullmatch("[A-Za-z][A-Za-z0-9]{2,44}", name):
        raise host.wrong(key, f'is "{name}"; it has to be 3 to 45 letters and digits, a letter first')
    if not re.fullmatch("[A-Za-z0-9][A-Za-z0-9_-]{0,63}", name):
        raise host.wrong(key, f'is "{name}"; it has to be letters, digits, - and _, 64 at most')
    return name


def _sanitised(site: str) -> str:
    """A hub name out of a site's name, as the extension makes it when host.json has none."""
    name = re.sub("[^A-Za-z0-9]", "", site)
    if not name:
        return "DefaultTaskHub"
    name = ("t" + name if name[0].isdigit() else name)[:45]
    return name if len(name) >= 3 else name + "Hub"


def _log_levels(host: HostJson) -> dict[str, int]:
    head = "logging.logLevel"
    levels = {}
    for category in host.under(head):
        level = host.one_of(
            f"{head}.{category}", ("Information", *(name.capitalize() for name in LOG_LEVELS))
        )
        levels[category.lower()] = LOG_LEVELS[level.lower()]
    return levels


def _unread(host: HostJson) -> tuple[list[str], list[str]]:
    """(keys that make no difference here, keys that might, each with what was probably meant)."""
    quiet = tuple(head.lower() for head in _NO_DIFFERENCE)
    without_effect, unknown = [], []
    for key in host.unread():
        if key.lower() == "version":
            continue
        # Triggers that are not polled here are told function by function.
        other_trigger = re.match(r"extensions\.(?!durabletask\.|http\.)", key.lower())
        if other_trigger or any(key.lower() == head or key.lower().startswith(head + ".") for head in quiet):
            without_effect.append(key)
        else:
            meant = host.nearest(key)
            unknown.append(f"{key} (did you mean {meant}?)" if meant else key)
    return without_effect, unknown
