"""The types of bindings that extension bundles have (Azure/azure-functions-extension-bundles, main and preview).

The Functions host loads no function that has a binding of another type.
"""

from __future__ import annotations

from collections.abc import Iterable

from dfhost.app.functions import Function

_BUNDLED = """
    http httpTrigger timerTrigger warmupTrigger
    activityTrigger durableClient entityTrigger orchestrationClient orchestrationTrigger
    blob blobTrigger queue queueTrigger table
    cosmosDB cosmosDBTrigger eventGrid eventGridTrigger eventHub eventHubTrigger
    kafka kafkaTrigger rabbitMQ rabbitMQTrigger serviceBus serviceBusTrigger
    redis redisListTrigger redisPubSubTrigger redisStreamTrigger
    mysql mysqlTrigger sql sqlTrigger kusto sendGrid twilioSms
    signalR signalRConnectionInfo signalREndpoints signalRNegotiation signalRTrigger
    webPubSub webPubSubConnection webPubSubContext webPubSubTrigger
    daprBinding daprBindingTrigger daprInvoke daprPublish daprSecret daprServiceInvocationTrigger daprState
    daprTopicTrigger
    assistantCreate assistantPost assistantQuery assistantSkillTrigger embeddings embeddingsStore semanticSearch
    textCompletion
    mcpPromptTrigger mcpResourceTrigger mcpToolTrigger
"""
_TYPES = frozenset(_BUNDLED.lower().split())


def unknown_binding_types(functions: Iterable[Function]) -> dict[str, list[str]]:
    """Each binding type that no bundle has, with the names of the functions that use it."""
    found: dict[str, list[str]] = {}
    for function in functions:
        for binding in (function.trigger, *function.bindings):
            if str(binding["type"]).lower() not in _TYPES:
                found.setdefault(str(binding["type"]), []).append(function.name)
    return found
