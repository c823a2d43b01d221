"""What dfhost replaces inside the SDK for speed: the results are the SDK's own."""

import json
import sys
import time
from collections.abc import Callable
from datetime import datetime, timezone

import pytest
from azure.durable_functions.models.history import HistoryEvent, HistoryEventType
from azure.durable_functions.models.TaskOrchestrationExecutor import TaskOrchestrationExecutor
from azure.durable_functions.models.utils.df_serialization import df_dumps, df_loads
from azure.functions._durable_functions import _deserialize_custom_object, _serialize_custom_object
from dateutil.parser import parse
from hypothesis import given
from hypothesis import strategies as st

from dfhost.app.sdk_patches import install_replay_caches
from dfhost.timestamps import timestamp

install_replay_caches()

STAMPS = (
    "2026-11-22T15:29:11.170000Z",
    "2026-11-22T15:29:11.1700001Z",
    "2026-11-22T15:29:11Z",
    "2026-11-22T15:29:11.17+02:00",
    "2026-11-22T15:29:11.17",
)


def _read(stamp: str) -> datetime:
    event = HistoryEvent(
        EventType=HistoryEventType.ORCHESTRATOR_STARTED, EventId=-1, IsPlayed=False, Timestamp=stamp
    )
    return event.timestamp


@pytest.mark.skipif(not hasattr(time, "tzset"), reason="the process cannot change its time zone")
@pytest.mark.parametrize("zone", ["UTC", "Europe/Berlin"])
@pytest.mark.parametrize("stamp", STAMPS)
def test_a_cached_timestamp_is_the_one_that_the_sdk_reads(
    stamp: str, zone: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TZ", zone)
    time.tzset()
    try:
        for _ in range(2):
            seen, expected = _read(stamp), parse(stamp)
            assert seen == expected
            assert seen.tzname() == expected.tzname()
            assert seen.utcoffset() == expected.utcoffset()
    finally:
        monkeypatch.undo()
        time.tzset()


# From a year that is none of the month's days: of "0031-02-01" dateutil makes nothing, with or without dfhost.
@given(st.datetimes(datetime(1000, 1, 1), datetime(9999, 12, 31)))
def test_any_moment_of_the_hosts_is_read_as_the_sdk_alone_would(moment: datetime) -> None:
    stamp = timestamp(moment.replace(tzinfo=timezone.utc))
    assert _read(stamp) == parse(stamp)
    assert _read(stamp).tzinfo == parse(stamp).tzinfo


def test_the_sdk_still_uses_the_function_that_dfhost_replaces() -> None:
    module = sys.modules[HistoryEvent.__module__]
    assert module.dt_parse is not parse, "dfhost's speed depends on it"
    assert sys.modules[df_dumps.__module__].__dict__["json"] is not json
    first, second = (
        type(next(iter(TaskOrchestrationExecutor().event_to_SetTaskValuePayload.values()))) for _ in "ab"
    )
    assert first is second


def test_text_that_is_no_timestamp_is_refused_every_time() -> None:
    for _ in range(2):
        with pytest.raises(ValueError, match="Unknown string format"):
            _read("tomorrow-ish?")


def test_strict_typing_is_what_the_environment_says_at_each_call(monkeypatch: pytest.MonkeyPatch) -> None:
    nested = '{"__class__": "Missing", "__module__": "missing", "__data__": "1"}'
    for strict in (False, True, False, True):
        monkeypatch.setenv("AZURE_FUNCTIONS_DURABLE_STRICT_TYPING", "1" if strict else "no")
        with pytest.raises(TypeError if strict else ValueError):
            df_loads(nested)
    monkeypatch.delenv("AZURE_FUNCTIONS_DURABLE_STRICT_TYPING")
    with pytest.raises(ValueError, match="not loaded"):
        df_loads(nested)


class Amount:
    def __init__(self, cents: object) -> None:
        self.cents = cents

    @staticmethod
    def to_json(amount: "Amount") -> object:
        return amount.cents

    @staticmethod
    def from_json(cents: object) -> "Amount":
        return Amount(cents)


_loop: list[object] = []
_loop.append(_loop)


@pytest.mark.parametrize(
    "value",
    [
        None,
        True,
        1.5,
        float("nan"),
        "ä\u2028\ud83d",
        [1, {"a": (2, None)}],
        {3: Amount([Amount(7)])},
        {1, 2},
        _loop,
    ],
)
def test_a_value_is_written_as_the_sdk_alone_would(value: object) -> None:
    assert _outcome(lambda: df_dumps(value)) == _outcome(
        lambda: json.dumps(value, default=_serialize_custom_object)
    )


_WRAPPED = f'{{"__class__": "Amount", "__module__": "{__name__}", "__data__": 7}}'


@pytest.mark.parametrize(
    "text",
    [
        '{"a": [1, NaN, "\\ud83d"]}',
        " 1 ",
        "",
        "\ufeff1",
        "{'a': 1}",
        b'{"a": 1}',
        5,
        f"[{_WRAPPED}]",
        "[" * 100_000,
    ],
)
def test_a_text_is_read_as_the_sdk_alone_would(text: object) -> None:
    own = _outcome(lambda: df_loads(text))  # type: ignore[arg-type]
    assert own == _outcome(
        lambda: json.loads(text, object_hook=_deserialize_custom_object)  # type: ignore[arg-type]
    )


def _outcome(call: Callable[[], object]) -> str:
    try:
        return json.dumps(call(), default=lambda amount: f"Amount {amount.cents}")
    except (TypeError, ValueError, RecursionError) as error:
        return f"{type(error).__name__}: {error}"
