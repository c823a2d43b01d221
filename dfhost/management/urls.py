"""The JSON behind a durable client parameter, as the extension hands it to the SDK. Pure.

Keys and URL shapes: the extension's BindingHelper and HttpApiHandler. As with Core Tools there is no key to
send along (`code=`), so `requiredQueryStringParameters` is empty (recorded).
"""

from __future__ import annotations

import json

WEBHOOKS = "/runtime/webhooks/durabletask"
RPC = "/durabletask/"


def client_json(base_url: str, rpc_url: str, hub: str, connection: str = "Storage") -> str:
    """`base_url`: the host's public origin; `rpc_url`: where the SDK itself calls, ending in ``/durabletask/``."""
    prefix = base_url.rstrip("/") + WEBHOOKS
    instance = f"{prefix}/instances/INSTANCEID"
    query = f"taskHub={hub}&connection={connection}"
    start = f"{prefix}/orchestrators/{{functionName}}[/{{instanceId}}]"
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
            "managementUrls": {
                "id": "INSTANCEID",
                "statusQueryGetUri": f"{instance}?{query}",
                "sendEventPostUri": f"{instance}/raiseEvent/{{eventName}}?{query}",
                "terminatePostUri": f"{instance}/terminate?reason={{text}}&{query}",
                "rewindPostUri": f"{instance}/rewind?reason={{text}}&{query}",
                "purgeHistoryDeleteUri": f"{instance}?{query}",
                "restartPostUri": f"{instance}/restart?{query}",
                "suspendPostUri": f"{instance}/suspend?reason={{text}}&{query}",
                "resumePostUri": f"{instance}/resume?reason={{text}}&{query}",
            },
            "baseUrl": prefix,
            "requiredQueryStringParameters": "",
            "rpcBaseUrl": rpc_url,
            "httpBaseUrl": None,
        }
    )
