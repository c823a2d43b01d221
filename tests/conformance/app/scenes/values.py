"""What values are on their way: inputs, results, custom classes, custom status."""

import datetime
from typing import Any

from .blueprint import activity, orchestrator
from .fan_out import Context, Steps


class Point:
    """Travels by `to_json` and `from_json`."""

    def __init__(self, x: int, y: int) -> None:
        self.x, self.y = x, y

    @staticmethod
    def to_json(point: "Point") -> dict[str, int]:
        return {"x": point.x, "y": point.y}

    @staticmethod
    def from_json(data: dict[str, int]) -> "Point":
        return Point(data["x"], data["y"])


class Label:
    """The same, as a text."""

    def __init__(self, text: str) -> None:
        self.text = text

    @staticmethod
    def to_json(label: "Label") -> str:
        return label.text

    @staticmethod
    def from_json(text: str) -> "Label":
        return Label(text)


@activity
def double_point(value):
    return Point(value.x * 2, value.y * 2) if isinstance(value, Point) else type(value).__name__


@activity
def wrap_label(value: str) -> dict:
    return {"labels": [Label(value), Label("two")]}


@activity
def returns(value: str):
    return {
        "none": None,
        "tuple": (1, "t"),
        "float": 1e300,
        "onepoint": 1.0,
        "isodate": "2024-05-06T07:08:09.1200000Z",
        "dollar": {"$type": "System.String", "$id": "1", "x": 1},
        "bigint": 2**70,
        "nan": float("nan"),
    }[value]


@activity
def big(value: int) -> str:
    return "y" * value


@orchestrator
def chain(context: Context) -> Steps:
    tokyo = yield context.call_activity("hello_async", "Tokyo")
    return [tokyo, (yield context.call_activity("hello_async", "Seattle"))]


@orchestrator
def plain(context: Context) -> Steps:
    return (yield context.call_activity("echo", "plain"))


@orchestrator
def plain_return(context: Context) -> Any:
    """No generator."""
    return {"input": context.get_input(), "id_is_mine": context.instance_id is not None}


@orchestrator
def returns_none(context: Context) -> Steps:
    yield context.call_activity("echo", None)


@orchestrator
def echo_input(context: Context) -> Steps:
    return (yield context.call_activity("echo", context.get_input()))


@orchestrator
def echo_types(context: Context) -> Steps:
    given = ["text", "1", 1, 1.5, True, None, [1, "a", None], {"k": {"n": [1]}}, 'ünï ☃ "q" \\ \n', ""]
    got = []
    for value in given:
        got.append((yield context.call_activity("echo", value)))
    return [given == got, got]


@orchestrator
def input_seen(context: Context) -> Any:
    """What get_input() gives for the body of a start by HTTP."""
    try:
        value = context.get_input()
    except Exception as error:
        return {"raised": f"{type(error).__name__}: {error}"}
    return {"type": type(value).__name__, "value": value}


@orchestrator
def bad_input(context: Context) -> Steps:
    """An activity input that JSON does not know."""
    kinds = {
        "set": {1},
        "bytes": b"x",
        "datetime": datetime.datetime(2024, 1, 2),
        "tuple": (1, 2),
        "nan": float("nan"),
    }
    return (yield context.call_activity("kind_of", kinds[context.get_input()]))


@orchestrator
def name_case(context: Context) -> Steps:
    upper = yield context.call_activity("ECHO", "upper")
    return [upper, (yield context.call_sub_orchestrator("ECHO_CHILD", "upper"))]


@orchestrator
def deterministic(context: Context) -> Steps:
    first, now = context.new_uuid(), context.current_utc_datetime.isoformat()
    yield context.call_activity("echo", 1)
    differ = context.new_uuid() != first
    return {"differ": differ, "utc": now.endswith("+00:00"), "parent": context.parent_instance_id}


@orchestrator
def class_activity(context: Context) -> Steps:
    point = yield context.call_activity("double_point", Point(1, 2))
    labels = yield context.call_activity("wrap_label", "one")
    return {
        "point": [type(point).__name__, point.x, point.y],
        "labels": [label.text for label in labels["labels"]],
    }


@orchestrator
def class_child(context: Context) -> Steps:
    point = context.get_input()
    doubled = yield context.call_activity("double_point", point)
    return {"type": type(point).__name__, "x": doubled.x}


@orchestrator
def class_sub(context: Context) -> Steps:
    return (yield context.call_sub_orchestrator("class_child", Point(5, 6)))


@orchestrator
def class_output(context: Context) -> Any:
    return Point(3, 4)


@orchestrator
def class_output_caught(context: Context) -> Steps:
    try:
        got = yield context.call_sub_orchestrator("class_output", None)
        return {"type": type(got).__name__}
    except Exception as error:
        return {"caught": str(error)}


@orchestrator
def class_status(context: Context) -> Steps:
    context.set_custom_status(Point(1, 1))
    return (yield context.call_activity("echo", 1))


# -- custom status -----------------------------------------------------------------------------------------------
@orchestrator
def statuses(context: Context) -> Steps:
    context.set_custom_status("starting")
    yield context.call_activity("echo", 1)
    context.set_custom_status({"stage": 2})
    yield context.call_activity("echo", 2)
    return "done"


@orchestrator
def status_big(context: Context) -> Steps:
    """A status of so many characters, set in the second episode."""
    yield context.call_activity("echo", 1)
    context.set_custom_status("s" * context.get_input())
    yield context.call_activity("echo", 2)
    return "survived"


@orchestrator
def status_then_fail(context: Context) -> Steps:
    context.set_custom_status({"step": 1})
    yield context.call_activity("echo", 1)
    context.set_custom_status({"step": 2})
    raise RuntimeError("after status")


@orchestrator
def status_bad(context: Context) -> Steps:
    context.set_custom_status(object())
    yield context.call_activity("echo", 1)
    return "ok"
