"""Reads `Settings` from an app's folder: what each key means, its bounds, and which keys have no effect here."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

from dfhost.errors import SettingsError
from dfhost.settings.app_settings import has_storage_connection
from dfhost.settings.host_json import HostJson
from dfhost.settings.jsonc import Document, read_document
from dfhost.settings.local_settings import read_local_settings
from dfhost.settings.model import QueueOptions, Settings, processor_count, ten_per_cpu

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

# These tune telemetry, the platform or Azure Storage: ignoring them changes nothing that an app can see here.
_WITHOUT_EFFECT = (
    "$schema",
    "aggregator",
    "concurrency",
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
    "extensions.queues.maxPollingInterval",
    f"{DURABLE}.appLeaseOptions",
    f"{DURABLE}.entityMessageReorderWindowInMinutes",
    f"{DURABLE}.extendedSessionIdleTimeoutInSeconds",
    f"{DURABLE}.rollbackEntityOperationsOnExceptions",
    f"{DURABLE}.storageProvider",
    f"{DURABLE}.tracing",
    f"{DURABLE}.useAppLease",
    f"{DURABLE}.useGracefulShutdown",
)


# Those that come with the extension bundle besides Azure Storage.
_OTHER_PROVIDERS = ("azuremanaged", "mssql", "netherite")

# App settings that the Functions host or its Python worker reads, and why they have no effect here.
_APP_SETTINGS_WITHOUT_EFFECT = {
    "FUNCTIONS_WORKER_DYNAMIC_CONCURRENCY_ENABLED": "the number of worker processes stays as it is",
    "WEBSITE_MAX_DYNAMIC_APPLICATION_SCALE_OUT": "one host runs the app",
    "APPLICATIONINSIGHTS_CONNECTION_STRING": "no telemetry is sent",
    "APPINSIGHTS_INSTRUMENTATIONKEY": "no telemetry is sent",
    "PYTHON_APPLICATIONINSIGHTS_ENABLE_TELEMETRY": "no telemetry is sent",
    "PYTHON_ENABLE_OPENTELEMETRY": "no telemetry is sent",
    "PYTHON_ENABLE_WORKER_EXTENSIONS": "worker extensions are not called",
    "AzureWebJobsSecretStorageType": "no keys are needed",
}


def read_settings(folder: Path, environ: Mapping[str, str] = os.environ) -> Settings:
    """The settings of the app in `folder`. SettingsError names file, line and key.

    A variable of the real environment wins over the local setting of its name, as with Core Tools.
    """
    local = read_local_settings(folder / "local.settings.json")
    notes = list(local.notes)
    shadowed = [
        name for name, text in local.app_settings.items() if environ.get(name) not in (None, "", text)
    ]
    if shadowed:
        notes.append(f"Taken from the environment, not from local.settings.json: {', '.join(shadowed)}.")
    settings = {**local.app_settings, **{name: text for name, text in environ.items() if text}}
    unused = [
        f"{name} ({reason})"
        for name, reason in _APP_SETTINGS_WITHOUT_EFFECT.items()
        if settings.get(name, "").lower() not in ("", "0", "1", "false")
    ]
    if _names_an_account(settings.get("AzureWebJobsStorage", "")):
        unused.append("AzureWebJobsStorage (the state is in a file, and the storage account is not touched)")
    if unused:
        notes.append(f"These app settings have no effect in dfhost: {', '.join(unused)}.")
    by_lower_case = {name.lower(): text for name, text in settings.items()}

    host = HostJson(_host_json(folder / "host.json", notes), folder / "host.json", settings)
    limit = ten_per_cpu()
    timeout = host.time_limit("functionTimeout", timedelta(minutes=30))
    storage = f"{DURABLE}.storageProvider"
    provider = host.string(f"{storage}.type", "AzureStorage")
    on_storage = provider.lower() in ("azurestorage", "azure_storage")
    if not on_storage and provider.lower() not in _OTHER_PROVIDERS:
        raise host.refused(
            f"{storage}.type",
            f"Storage provider type ({provider}) was not found. Available storage providers: AzureStorage.",
        )
    _check_host_runs(host)
    if on_storage:
        _check_connection(host, by_lower_case)
    if not on_storage:
        notes.append(f"storageProvider.type is {provider}, but dfhost always keeps the task hub in SQLite.")
    found = Settings(
        hub=_hub_name(host, by_lower_case, on_storage, notes),
        connection=host.string(f"{storage}.connectionName", "")
        or host.string(f"{storage}.connectionStringName", "")  # the name before extension 2.5
        or "Storage",
        max_activities=host.integer(f"{DURABLE}.maxConcurrentActivityFunctions", limit),
        max_orchestrators=host.integer(f"{DURABLE}.maxConcurrentOrchestratorFunctions", limit),
        max_entities=host.integer(f"{DURABLE}.maxConcurrentEntityFunctions", limit),
        entity_batch_size=host.integer(f"{DURABLE}.maxEntityOperationBatchSize", 5000),
        max_actions=host.integer(f"{DURABLE}.maxOrchestrationActions", 100_000),
        any_state_overridable=host.choice(
            f"{DURABLE}.overridableExistingInstanceStates", ("NonRunningStates", "AnyState")
        )
        == "AnyState",
        store_inputs=host.boolean(f"{DURABLE}.storeInputsInOrchestrationHistory", False),
        http_poll_seconds=host.integer(
            f"{DURABLE}.httpSettings.defaultAsyncRequestSleepTimeMilliseconds", 30_000
        )
        / 1000,
        default_version=host.string(f"{DURABLE}.defaultVersion", "") or None,
        version_match=host.choice(f"{DURABLE}.versionMatchStrategy", ("CurrentOrOlder", "Strict", "None")),
        version_failure=host.choice(f"{DURABLE}.versionFailureStrategy", ("Reject", "Fail")),
        route_prefix=host.string("extensions.http.routePrefix", "api").strip("/"),
        custom_headers=_custom_headers(host),
        max_outstanding_requests=_limit(host, "extensions.http.maxOutstandingRequests"),
        max_concurrent_requests=_limit(host, "extensions.http.maxConcurrentRequests"),
        function_timeout=timeout.total_seconds() if timeout else None,
        queues=_queue_options(host),
        functions=frozenset(str(name) for name in host.section("functions").values()),
        app_settings=local.app_settings,
        port=local.port,
        address=local.address,
        cors=local.cors,
        cors_credentials=local.cors_credentials,
        log_levels=_log_levels(host),
        has_extensions=bool(host.section("extensionBundle")) or _installs_extensions(folder),
    )
    without_effect, unknown = _unread_keys(host)
    if unknown:
        notes.append(f"dfhost ignores these settings of host.json: {', '.join(unknown)}.")
    return replace(found, notes=tuple(notes), without_effect=tuple(without_effect))


def _check_host_runs(host: HostJson) -> None:
    """Refuse what stops a real host, in its own words, or what makes every durable client fail there."""
    if host.boolean(f"{DURABLE}.extendedSessionsEnabled", False):
        raise host.refused(
            f"{DURABLE}.extendedSessionsEnabled",
            "Durable Functions with extendedSessionsEnabled set to 'true' is only supported when using the "
            "in-process or isolated .NET worker. Please remove the setting or change it to 'false'.",
        )
    if not host.boolean(f"{DURABLE}.localRpcEndpointEnabled", True):
        raise host.refused(
            f"{DURABLE}.localRpcEndpointEnabled",
            "localRpcEndpointEnabled is false, so every call of a durable client fails on a real host "
            "(InvalidUrlClientError: Noneorchestrators/…). Remove the setting.",
        )


def _names_an_account(connection: str) -> bool:
    """Whether it is a storage account, and not Azurite's or the storage emulator's."""
    connection = connection.lower()
    return "accountname=" in connection and "accountname=devstoreaccount1" not in connection


def _check_connection(host: HostJson, app_settings: Mapping[str, str]) -> None:
    """Refuse a connection to Azure Storage that a real host would not find."""
    for key in ("connectionName", "connectionStringName"):
        key = f"{DURABLE}.storageProvider.{key}"
        name = host.string(key, "")
        if name and not has_storage_connection(name, app_settings):
            raise host.refused(
                key,
                f"Unable to resolve the Azure Storage connection named '{name}'. There is no app setting of that "
                "name (Values in local.settings.json); dfhost needs none, so remove the key or add the setting.",
            )


def _host_json(file: Path, notes: list[str]) -> Document:
    document = read_document(file)
    if document is None:
        # The Functions host uses its defaults then, and only `func` refuses to start.
        notes.append(
            'There is no host.json, so its defaults apply. func and Azure need one; {"version": "2.0"} is enough.'
        )
        return Document({})
    version = document.value.get("version")
    if document.value and version != "2.0":
        line = document.place(("version",))[0]
        found = "is missing" if version is None else f"is {version!r}"
        raise SettingsError(f'{file}, line {line}: "version" {found}; it has to be "2.0".')
    return document


def _installs_extensions(folder: Path) -> bool:
    """Whether the app brings its own extensions instead of a bundle, or lacks the file that would name one."""
    own = ("extensions.csproj", "bin/extensions.json")
    return not (folder / "host.json").exists() or any((folder / name).exists() for name in own)


def _hub_name(host: HostJson, app_settings: Mapping[str, str], on_storage: bool, notes: list[str]) -> str:
    """The hub's name, with `%Setting%` resolved. On Azure Storage: 3 to 45 letters and digits (AzureStorageOptions).

    Other storage providers have other rules; here the name must only be good for a file. A missing setting stops the
    real host. But published apps come without their local.settings.json, and a hub is only a name: the setting's own
    name is used then, with a note.
    """
    key = f"{DURABLE}.hubName"
    written = name = host.string(key, "")
    if not name:
        return _sanitised(app_settings.get("website_site_name", "TestHubName"))
    placeholders = re.findall("%([^%]+)%", name)
    for setting in placeholders:
        name = name.replace(f"%{setting}%", app_settings.get(setting.lower(), setting))
    if missing := [setting for setting in placeholders if setting.lower() not in app_settings]:
        name = _sanitised(name)
        notes.append(
            f'host.json names the task hub "{written}", but there is no app setting {" or ".join(missing)} '
            f'(Values in local.settings.json). dfhost uses the name "{name}".'
        )
    if on_storage and not re.fullmatch("[A-Za-z][A-Za-z0-9]{2,44}", name):
        raise host.invalid(key, f'is "{name}"; it has to be 3 to 45 letters and digits, a letter first')
    if not re.fullmatch("[A-Za-z0-9][A-Za-z0-9_-]{0,63}", name):
        raise host.invalid(key, f'is "{name}"; it has to be letters, digits, - and _, 64 at most')
    return name


def _sanitised(site: str) -> str:
    """The hub's name that the extension makes of a site's name when host.json has none."""
    name = re.sub("[^A-Za-z0-9]", "", site)
    if not name:
        return "DefaultTaskHub"
    name = ("t" + name if name[0].isdigit() else name)[:45]
    return name if len(name) >= 3 else name + "Hub"


def _log_levels(host: HostJson) -> dict[str, int]:
    section = "logging.logLevel"
    levels = {}
    for category in host.section(section):
        level = host.choice(
            f"{section}.{category}", ("Information", *(name.capitalize() for name in LOG_LEVELS))
        )
        levels[category.lower()] = LOG_LEVELS[level.lower()]
    return levels


def _custom_headers(host: HostJson) -> tuple[tuple[str, str], ...]:
    section = "extensions.http.customHeaders"
    headers = host.section(section)
    for name, value in headers.items():
        if not re.fullmatch(r"[!#$%&'*+\-.^_`|~\w]+", name, re.ASCII):
            raise host.invalid(f"{section}.{name}", "is not the name of a header")
        if not isinstance(value, str) or not re.fullmatch(r"[\t -~]*", value):
            raise host.invalid(f"{section}.{name}", "has to be ASCII text without control characters")
    return tuple(headers.items())


def _queue_options(host: HostJson) -> QueueOptions:
    """Names, defaults and bounds: QueuesOptions of the queue extension."""
    section = "extensions.queues"
    batch_size = host.integer(f"{section}.batchSize", 16)
    if batch_size > 32:
        raise host.invalid(
            f"{section}.batchSize", f"is {batch_size}; Azure Storage gives out 32 messages at most"
        )
    invisible = host.timespan(f"{section}.visibilityTimeout", timedelta())
    if invisible > timedelta(days=7):
        raise host.invalid(
            f"{section}.visibilityTimeout", "is too long; Azure Storage hides a message for 7 days at most"
        )
    encoding = host.choice(f"{section}.messageEncoding", ("base64", "none"))
    return QueueOptions(
        batch_size=batch_size,
        new_batch_threshold=host.integer(
            f"{section}.newBatchThreshold", batch_size // 2 * processor_count(), minimum=0
        ),
        max_dequeue_count=host.integer(f"{section}.maxDequeueCount", 5),
        visibility_timeout=invisible.total_seconds(),
        max_bytes=65_536 if encoding == "none" else 49_152,
    )


def _limit(host: HostJson, key: str) -> int | None:
    """A number of requests; -1, and nothing, mean no limit."""
    number = host.integer(key, -1, minimum=-1)
    return None if number == -1 else number


def _unread_keys(host: HostJson) -> tuple[list[str], list[str]]:
    """(keys without effect here, unknown keys, each with the key that was probably meant)."""
    ignored = tuple(prefix.lower() for prefix in _WITHOUT_EFFECT)
    without_effect, unknown = [], []
    for key in host.unread_keys():
        if key.lower() == "version":
            continue
        # Triggers that dfhost does not poll are noted function by function.
        other_trigger = re.match(r"extensions\.(?!durabletask\.|http\.|queues\.)", key.lower())
        if other_trigger or any(
            key.lower() == prefix or key.lower().startswith(prefix + ".") for prefix in ignored
        ):
            without_effect.append(key)
        else:
            meant = host.closest_key(key)
            unknown.append(f"{key} (did you mean {meant}?)" if meant else key)
    return without_effect, unknown
