"""The extension's JSON for an instance's status and for an entity in a list.

Built by joining texts: what the store holds is never parsed and written again. Keys are in the extension's order.
"""

from __future__ import annotations

from datetime import datetime, timezone

from dfhost.management.json_text import embedded, encode
from dfhost.task_hub_values import Entity, Instance
from dfhost.timestamps import timestamp


def status(
    instance: Instance,
    *,
    show_input: bool = True,
    history: str | None = None,
    episodes: str | None = None,
    exact_times: bool = False,
) -> str:
    """`history`, `episodes`: the JSON of `historyEvents` and `episodes`. `exact_times`: see `_exact_times`.

    These keys, version and parentInstanceId are left out if None.
    """
    return (
        f'{{"name":{encode(instance.name)},"instanceId":{encode(instance.instance_id)},'
        f'"runtimeStatus":"{instance.status}",'
        f'"input":{embedded(instance.input) if show_input else "null"},'
        f'"customStatus":{embedded(instance.custom_status)},"output":{embedded(instance.output)},'
        f'"createdTime":"{_whole_seconds(instance.created_at)}",'
        f'"lastUpdatedTime":"{_whole_seconds(instance.updated_at)}"'
        + (f',"version":{encode(instance.version)}' if instance.version else "")
        + (f',"parentInstanceId":{encode(instance.parent_id)}' if instance.parent_id else "")
        + (_exact_times(instance) if exact_times else "")
        + (f',"historyEvents":{history}' if history is not None else "")
        + (f',"episodes":{episodes}' if episodes is not None else "")
        + "}"
    )


def _exact_times(instance: Instance) -> str:
    """`exactCreatedTime`, `exactLastUpdatedTime`, and `firstCreatedTime` of one that has continued as new."""
    first = instance.first_created_at
    return (
        f',"exactCreatedTime":"{timestamp(instance.created_at)}"'
        f',"exactLastUpdatedTime":"{timestamp(instance.updated_at)}"'
        + (f',"firstCreatedTime":"{timestamp(first)}"' if first else "")
    )


def entity(entity: Entity, *, show_state: bool) -> str:
    return (
        f'{{"entityId":{{"name":{encode(entity.name)},"key":{encode(entity.key)}}},'
        f'"lastOperationTime":"{_precise(entity.last_operation)}",'
        f'"state":{embedded(entity.state) if show_state else "null"}}}'
    )


def _whole_seconds(at: datetime) -> str:
    return _utc(at).isoformat()[:19] + "Z"


def _precise(at: datetime) -> str:
    """As Newtonsoft writes a DateTime: no zeros at the end of the fraction."""
    return _utc(at).isoformat(timespec="microseconds")[:26].rstrip("0").rstrip(".") + "Z"


def _utc(at: datetime) -> datetime:
    return at if at.tzinfo is None or at.tzinfo is timezone.utc else at.astimezone(timezone.utc)
