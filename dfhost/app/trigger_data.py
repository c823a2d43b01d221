"""Makes a trigger's data from plain values, for timers, queues and functions that are run by hand.

`trigger_data` gives the data and the metadata that azure-functions' converter for the trigger needs. The text is the
message (queue, Service Bus, Event Hubs, Kafka), the blob's content, or the JSON of the event, the documents or the
rows. Any other trigger gets the text itself. A blob may also be a file: `file:report.pdf`, from the app's folder.
"""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta, timezone
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from azure.functions.meta import Datum

from dfhost.app.functions import Function
from dfhost.parse_json import parse_json
from dfhost.runner.app_runner import QueueDelivery, TimerOccurrence, TriggerText
from dfhost.runner.functions import BLOB_FILE_PREFIX, JSON_TRIGGERS
from dfhost.timestamps import timestamp

Delivery = tuple[Datum, Mapping[str, Datum]]


def trigger_data(function: Function, data: TriggerText | TimerOccurrence | QueueDelivery) -> Delivery:
    """Data and metadata for one call of `function`."""
    if isinstance(data, TimerOccurrence):
        return _timer(data), {}
    if isinstance(data, QueueDelivery):
        return _queue_message(data)
    if function.trigger["type"] == "blobTrigger":
        return _blob(str(function.trigger.get("path", "")), data.text, Path(function.directory))
    make = _DELIVERIES.get(str(function.trigger["type"]), _plain)
    return make(function.trigger, data.text)


def _timer(occurrence: TimerOccurrence) -> Datum:
    """The timer's data in the Functions host's form."""
    status = {}
    if occurrence.following:
        last = occurrence.last or datetime.min.replace(tzinfo=timezone.utc).isoformat()
        status = {"Last": last, "LastUpdated": last, "Next": occurrence.following}
    info = {
        "Schedule": {"AdjustForDST": True},
        "ScheduleStatus": status,
        "IsPastDue": occurrence.is_past_due,
    }
    return Datum(json.dumps(info), "json")


def _now(ahead: timedelta = timedelta()) -> str:
    return timestamp(datetime.now(timezone.utc) + ahead)


def _plain(_: Mapping[str, Any], text: str) -> Delivery:
    return Datum(text, "string"), {}


def _json(_: Mapping[str, Any], text: str) -> Delivery:
    return Datum(text, "json"), {}


def _queue(_: Mapping[str, Any], text: str) -> Delivery:
    return _queue_message(
        QueueDelivery(
            text=text,
            message_id=str(uuid.uuid4()),
            dequeue_count=1,
            inserted_at=_now(),
            expires_at=_now(timedelta(days=7)),
            visible_again_at=_now(timedelta(minutes=10)),
            pop_receipt=uuid.uuid4().hex,
        )
    )


def _queue_message(message: QueueDelivery) -> Delivery:
    metadata = _metadata(
        Id=message.message_id,
        DequeueCount=message.dequeue_count,
        InsertionTime=message.inserted_at,
        ExpirationTime=message.expires_at,
        NextVisibleTime=message.visible_again_at,
        PopReceipt=message.pop_receipt,
    )
    return Datum(message.text, "string"), metadata


def _blob(template: str, text: str, folder: Path) -> Delivery:
    """A path without a blob's name is a container; every blob in it triggers the function."""
    container, slash, name = re.sub(r"\{[^}]*\}", "dfhost", template).rpartition("/")
    if not slash:
        container, name = name, "dfhost"
    if is_file := text.startswith(BLOB_FILE_PREFIX):
        file = folder / text.removeprefix(BLOB_FILE_PREFIX)
        name = file.name
    content = file.read_bytes() if is_file else text.encode()
    path = f"{container}/{name}"
    properties = json.dumps({"ContentLength": len(content)})
    metadata = _metadata(BlobTrigger=path, Uri=f"http://127.0.0.1/{path}")
    return Datum(content, "bytes"), {**metadata, "Properties": Datum(properties, "json")}


def _service_bus(trigger: Mapping[str, Any], text: str) -> Delivery:
    single: dict[str, str | int] = {
        "MessageId": str(uuid.uuid4()),
        "DeliveryCount": 1,
        "SequenceNumber": 1,
        "EnqueuedTimeUtc": _now(),
        "ExpiresAtUtc": _now(timedelta(days=14)),
        "ContentType": "text/plain",
        "LockToken": str(uuid.uuid4()),
    }
    if not _is_batch(trigger):
        properties = {name: Datum("{}", "json") for name in ("UserProperties", "ApplicationProperties")}
        return Datum(text, "string"), {**_metadata(**single), **properties}
    bodies = _batch_items(text)
    arrays = {
        f"{name}Array": Datum(json.dumps([value] * len(bodies)), "json") for name, value in single.items()
    }
    for name in ("UserPropertiesArray", "ApplicationPropertiesArray"):
        arrays[name] = Datum(json.dumps([{}] * len(bodies)), "json")
    return _collection(bodies), arrays


def _event_hub(trigger: Mapping[str, Any], text: str) -> Delivery:
    single: dict[str, str | int] = {
        "EnqueuedTimeUtc": _now(),
        "SequenceNumber": 0,
        "Offset": "0",
        "PartitionKey": "",
    }
    if not _is_batch(trigger):
        return Datum(text, "string"), {**_metadata(**single), "SystemProperties": Datum("{}", "json")}
    bodies = _batch_items(text)
    return _collection(bodies), {"SystemPropertiesArray": Datum(json.dumps([single] * len(bodies)), "json")}


def _kafka(trigger: Mapping[str, Any], text: str) -> Delivery:
    topic = str(trigger.get("topic", ""))
    if not _is_batch(trigger):
        single = _metadata(Timestamp=_now(), Key="", Partition=0, Offset=0, Topic=topic)
        return Datum(text, "string"), {**single, "Headers": Datum("[]", "json")}
    bodies = _batch_items(text)
    count = len(bodies)
    arrays: dict[str, list[Any]] = {
        "TimestampArray": [_now()] * count,
        "KeyArray": [""] * count,
        "PartitionArray": [0] * count,
        "HeadersArray": [[]] * count,
    }
    metadata = {name: Datum(json.dumps(values), "json") for name, values in arrays.items()}
    metadata["OffsetArray"] = Datum(SimpleNamespace(sint64=list(range(count))), "collection_sint64")
    metadata["TopicArray"] = Datum(SimpleNamespace(string=[topic] * count), "collection_string")
    return _collection(bodies), metadata


def _is_batch(trigger: Mapping[str, Any]) -> bool:
    return str(trigger.get("cardinality", "")).lower() == "many"


def _batch_items(text: str) -> list[str]:
    """The elements of a JSON array; any other text is a batch of one."""
    try:
        value = parse_json(text)
    except ValueError:
        return [text]
    if not isinstance(value, list):
        return [text]
    return [each if isinstance(each, str) else json.dumps(each) for each in value]


def _collection(bodies: list[str]) -> Datum:
    return Datum(SimpleNamespace(bytes=[body.encode() for body in bodies]), "collection_bytes")


def _metadata(**values: str | int) -> dict[str, Datum]:
    return {
        name: Datum(value, "int" if isinstance(value, int) else "string") for name, value in values.items()
    }


_DELIVERIES: dict[str, Callable[[Mapping[str, Any], str], Delivery]] = {
    "timerTrigger": lambda trigger, text: (_timer(TimerOccurrence("", "")), {}),
    "queueTrigger": _queue,
    "serviceBusTrigger": _service_bus,
    "eventHubTrigger": _event_hub,
    "kafkaTrigger": _kafka,
    **dict.fromkeys(JSON_TRIGGERS, _json),
}
