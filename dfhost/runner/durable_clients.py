"""The durable clients that an app's functions ask for. Pure, but for the app settings."""

from __future__ import annotations

from collections.abc import Callable

from dfhost.errors import AppError
from dfhost.runner.app_runner import ClientTexts
from dfhost.runner.functions import AppInfo
from dfhost.settings.app_settings import resolve_app_settings


def client_texts(app: AppInfo, client_json: Callable[[str | None, str | None], str]) -> ClientTexts:
    """The JSON of every durable client; `client_json(task_hub, connection)` builds it, None stands for the default.

    AppError if a client names its task hub by a setting that does not exist.
    """
    texts: dict[str, dict[str, str]] = {}
    for function in app.functions:
        for binding in function.bindings:
            if binding["type"] == "durableClient":
                hub = binding.get("taskHub")
                try:
                    hub = resolve_app_settings(hub) if hub else None
                except ValueError as error:
                    raise AppError(f"Function '{function.name}': its task hub '{hub}': {error}.") from None
                text = client_json(hub, binding.get("connectionName"))
                texts.setdefault(function.name, {})[binding["name"]] = text
    return texts
