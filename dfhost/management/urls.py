"""The management API's URLs: where it is mounted, how its paths are read, and the links it hands out. Pure.

The extension is .NET, so paths are decoded and links encoded as .NET does it. URL shapes: the extension's
HttpApiHandler and BindingHelper. As with Core Tools no link needs a key (`code=`).
"""

from __future__ import annotations

import json
import re
from urllib.parse import quote, quote_plus, unquote, unquote_plus

from dfhost.management.json_text import encode

WEBHOOKS_PATH = "/runtime/webhooks/durabletask"  # the public API
RPC_PATH = "/durabletask/"  # the same API, for the SDK's durable client

# What follows an instance's URL in each link, before the query that names task hub and connection.
_INSTANCE_LINKS = {
    "statusQueryGetUri": "?",
    "sendEventPostUri": "/raiseEvent/{eventName}?",
    "terminatePostUri": "/terminate?reason={text}&",
    "rewindPostUri": "/rewind?reason={text}&",
    "purgeHistoryDeleteUri": "?",
    "restartPostUri": "/restart?",
    "suspendPostUri": "/suspend?reason={text}&",
    "resumePostUri": "/resume?reason={text}&",
}
# The check-status response has no rewindPostUri, unlike the one that the SDK builds from `client_json` (recorded).
_CHECK_STATUS_LINKS = {name: tail for name, tail in _INSTANCE_LINKS.items() if name != "rewindPostUri"}


def client_json(base_url: str, rpc_url: str, hub: str, connection: str = "Storage") -> str:
    """The JSON behind a durable client parameter, as the extension hands it to the SDK.

    `base_url`: the host's public origin. `rpc_url`: where the SDK itself calls, ends in ``/durabletask/``.
    """
    prefix = base_url.rstrip("/") + WEBHOOKS_PATH
    start = f"{prefix}/orchestrators/{{functionName}}[/{{instanceId}}]"
    links = _links(
        _INSTANCE_LINKS, f"{prefix}/instances/INSTANCEID", f"taskHub={hub}&connection={connection}"
    )
    return json.dumps(
        {
            "taskHubName": hub,
            "connectionName": None,
            "creationUrls": {
                "createNewInstancePostUri": start,
                "createAndWaitOnNewInstancePostUri": (
                    f"{start}?timeout={{timeoutInSeconds}}&pollingInterval={{intervalInSeconds}}"
                ),
            },
            "managementUrls": {"id": "INSTANCEID", **links},
            "baseUrl": prefix,
            "requiredQueryStringParameters": "",
            "rpcBaseUrl": rpc_url,
            "httpBaseUrl": None,
        }
    )


def check_status_json(instance_id: str, origin: str, hub: str, connection: str) -> tuple[str, str]:
    """The body of the response to a start, and its Location header."""
    instance_url = f"{origin}{WEBHOOKS_PATH}/instances/{url_encoded(instance_id)}"
    query = f"taskHub={url_encoded(hub)}&connection={url_encoded(connection)}"
    body = encode({"id": instance_id, **_links(_CHECK_STATUS_LINKS, instance_url, query)})
    return body, f"{instance_url}?{query}"


def _links(tails: dict[str, str], instance_url: str, query: str) -> dict[str, str]:
    return {name: f"{instance_url}{tail}{query}" for name, tail in tails.items()}


# -- paths ---------------------------------------------------------------------------------------------------
def path_segments(path: str) -> list[str]:
    """The segments of a raw path, fully decoded. The list is empty for an empty path or an empty inner segment.

    A path is decoded twice: by ASP.NET, then by `WebUtility.UrlDecode`, which reads ``+`` as a blank.
    '/instances/a%2520b/raiseEvent/go/' -> ['instances', 'a b', 'raiseEvent', 'go']
    """
    once = _decoded_once(path)
    segments = (unquote_plus(once) if "%" in once or "+" in once else once).strip("/").split("/")
    return segments if all(segments) else []


def location_path(path: str) -> str:
    """The raw path as the extension repeats it in a Location header: encoded only where it must be."""
    once = re.sub(r"%(?![0-9A-Fa-f]{2})", "%25", _decoded_once(path))
    return quote(once, safe="!$&'()*+,;=:@/~%")


def url_encoded(text: str) -> str:
    """`text` as .NET's `WebUtility.UrlEncode` writes it, which the extension's links use."""
    return quote_plus(text, safe="!*()").replace("~", "%7E")


def _decoded_once(path: str) -> str:
    """A raw path as ASP.NET passes it on: decoded, except for ``%2F``."""
    if "%" not in path:
        return path
    return unquote(path.replace("%2F", "%252F").replace("%2f", "%252f"))
