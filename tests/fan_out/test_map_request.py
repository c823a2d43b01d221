"""The body of start-map: every field that can be wrong is named in the refusal."""

from __future__ import annotations

import pytest

import fan_out  # noqa: F401  (registers the activities)
from fan_out.bodies import BadRequest
from fan_out.maps.request import check_key, fingerprint, parse_options, parse_request
from fan_out.maps.run import Options

GOOD = {"items": ["a"], "activity": "process_item"}


def test_the_defaults():
    asked = parse_request(GOOD)
    assert asked.options.max_concurrency == 50
    assert asked.options.max_attempts == 1
    assert asked.options.tolerated(10) == 0
    assert (asked.items, asked.source, asked.results, asked.key) == (["a"], None, "full", None)


def test_everything_that_can_be_said():
    asked = parse_request(
        {
            "source": "orders",
            "count": 2500,
            "activity": "process_item",
            "max_concurrency": 0,
            "items_per_batch": 10,
            "retry": {"max_attempts": 3, "first_interval_seconds": 0.5},
            "tolerated_failure_count": 5,
            "tolerated_failure_percentage": 2.5,
            "timeout_seconds": 60,
            "results": "values",
            "key": "k",
        }
    )
    assert asked.source == {"name": "orders", "params": {"count": 2500}}
    assert (asked.options.max_attempts, asked.options.retry_seconds) == (3, 0.5)
    assert (asked.items, asked.results, asked.key) == (None, "values", "k")


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"items": None}, "items"),
        ({"items": "abc"}, "items"),
        ({"items": {"a": 1}}, "items"),
        ({"source": "orders"}, "items"),
        ({"count": 3}, "count"),
        ({"path": "x.csv"}, "path"),
        ({"activity": None}, "activity"),
        ({"activity": 3}, "activity"),
        ({"activity": "nobody"}, "activity"),
        ({"activity": "get_order_details"}, "activity"),
        ({"max_concurrency": -1}, "max_concurrency"),
        ({"max_concurrency": 1.5}, "max_concurrency"),
        ({"max_concurrency": "8"}, "max_concurrency"),
        ({"max_concurrency": True}, "max_concurrency"),
        ({"max_concurrency": None}, "max_concurrency"),
        ({"max_concurrency": 10**9}, "max_concurrency"),
        ({"items_per_batch": 0}, "items_per_batch"),
        ({"items_per_batch": 51}, "items_per_batch"),
        ({"items_per_batch": "5"}, "items_per_batch"),
        ({"retry": 3}, "retry"),
        ({"retry": []}, "retry"),
        ({"retry": {}}, "retry.max_attempts"),
        ({"retry": {"max_attempts": 0}}, "retry.max_attempts"),
        ({"retry": {"max_attempts": 101}}, "retry.max_attempts"),
        ({"retry": {"max_attempts": 2, "backoff": 2}}, "retry.backoff"),
        ({"retry": {"max_attempts": 2, "first_interval_seconds": -1}}, "retry.first_interval_seconds"),
        ({"retry": {"max_attempts": 2, "first_interval_seconds": "1"}}, "retry.first_interval_seconds"),
        ({"tolerated_failure_count": -1}, "tolerated_failure_count"),
        ({"tolerated_failure_count": 0.5}, "tolerated_failure_count"),
        ({"tolerated_failure_percentage": 100.5}, "tolerated_failure_percentage"),
        ({"tolerated_failure_percentage": "10%"}, "tolerated_failure_percentage"),
        ({"tolerated_failure_percentage": False}, "tolerated_failure_percentage"),
        ({"timeout_seconds": 0}, "timeout_seconds"),
        ({"timeout_seconds": -3}, "timeout_seconds"),
        ({"timeout_seconds": 1e12}, "timeout_seconds"),
        ({"timeout_seconds": "60"}, "timeout_seconds"),
        ({"results": "all"}, "results"),
        ({"results": 1}, "results"),
        ({"key": ""}, "key"),
        ({"key": 7}, "key"),
        ({"key": "k" * 256}, "key"),
    ],
)
def test_a_wrong_field_is_named_and_told_what_it_wants(change, field):
    with pytest.raises(BadRequest) as refused:
        parse_request({**GOOD, **change})
    assert refused.value.field == field
    assert refused.value.status == 400
    assert str(refused.value).endswith(".")


def test_an_unknown_activity_is_told_the_known_ones():
    with pytest.raises(BadRequest, match="process_item"):
        parse_request({**GOOD, "activity": "nobody"})


def test_an_unknown_source_is_told_the_known_ones():
    with pytest.raises(BadRequest, match="orders, lines") as refused:
        parse_request({"source": "nobody", "activity": "process_item"})
    assert refused.value.field == "source"


def test_a_field_of_another_source_is_refused():
    with pytest.raises(BadRequest, match="does not go with source 'orders'") as refused:
        parse_request({"source": "orders", "count": 1, "path": "x", "activity": "process_item"})
    assert refused.value.field == "path"


def test_too_many_items():
    parse_request({**GOOD, "items": [0] * 100_000})
    with pytest.raises(BadRequest, match="100,001") as refused:
        parse_request({**GOOD, "items": [0] * 100_001})
    assert (refused.value.status, refused.value.field) == (413, "items")


def test_what_a_redrive_changes_must_go_with_what_it_keeps():
    options, _ = parse_options({"max_concurrency": 4}, {"activity": "a", "max_attempts": 2})
    assert (options.max_concurrency, options.max_attempts) == (4, 2)
    with pytest.raises(BadRequest, match="items_per_batch"):
        parse_options({"max_concurrency": 4}, {"activity": "a", "items_per_batch": 10})


def test_null_lifts_what_a_redrive_would_keep():
    kept = {"max_attempts": 5, "items_per_batch": 10, "timeout_seconds": 1.0}
    lifted = dict.fromkeys(("retry", "items_per_batch", "timeout_seconds"))
    assert parse_options(lifted, {"activity": "a", **kept}) == (Options("a"), None)
    assert parse_request({**GOOD, **lifted}) == parse_request(GOOD)


def test_a_fingerprint_is_that_of_what_is_asked_for():
    one = fingerprint({"items": [1, {"a": 1, "b": 2}], "activity": "x", "key": "k"})
    assert one == fingerprint({"activity": "x", "items": [1, {"b": 2, "a": 1}]})
    assert one != fingerprint({"activity": "x", "items": [{"b": 2, "a": 1}, 1]})


def test_no_key_is_no_key():
    assert check_key(None, "key") is None
