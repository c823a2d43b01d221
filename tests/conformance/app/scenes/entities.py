"""Two entities, and orchestrators that call and signal them."""

from typing import Any

import azure.durable_functions as df

from .blueprint import bp, orchestrator
from .fan_out import Context, Steps


@bp.entity_trigger(context_name="context")
def counter(context: df.DurableEntityContext) -> None:
    value = context.get_state(lambda: 0)
    operation = context.operation_name
    if operation == "add":
        value += context.get_input()
        context.set_state(value)
        context.set_result(value)
    elif operation == "get":
        context.set_result(value)
    elif operation == "delete":
        context.destruct_on_exit()
    elif operation == "boom":
        raise ValueError("entity says no")


@bp.entity_trigger(context_name="context")
def cell(context: df.DurableEntityContext) -> None:
    def state() -> Any:
        return context.get_state(lambda: 0) or 0

    def put(value: Any) -> None:
        context.set_state(value)

    def put_and_tell(value: Any) -> None:
        context.set_state(value)
        context.set_result(value)

    def kind_of(value: Any) -> list[Any]:
        return [type(value).__name__, value]

    def leave(result: Any = None) -> None:
        context.destruct_on_exit()
        if result is not None:
            context.set_result(result)

    operations = {
        "set": lambda: put(context.get_input()),
        "get": lambda: context.set_result(context.get_state()),
        "add": lambda: put_and_tell(state() + context.get_input()),
        "bump": lambda: put(state() + 1),
        "kind": lambda: context.set_result(kind_of(context.get_input())),
        "state_kind": lambda: context.set_result(kind_of(context.get_state(lambda: "initial"))),
        "who": lambda: context.set_result(
            [
                context.entity_name,
                context.entity_key,
                context.operation_name,
                context.is_newly_constructed,
            ]
        ),
        "leave": leave,
        "leave_with_result": lambda: leave("bye"),
        "bad_state": lambda: put(object()),
    }
    operations[context.operation_name]()


@orchestrator
def entity_calls(context: Context) -> Steps:
    """A signal and a call in one episode, a call in the next."""
    who = df.EntityId("counter", context.instance_id)
    context.signal_entity(who, "add", 5)
    added = yield context.call_entity(who, "add", 2)
    return [added, (yield context.call_entity(who, "get"))]


@orchestrator
def entity_error(context: Context) -> Steps:
    try:
        yield context.call_entity(df.EntityId("counter", context.instance_id), "boom")
    except Exception as error:
        return "caught: " + str(error).splitlines()[0]


@orchestrator
def entity_script(context: Context) -> Steps:
    """The input's steps, ["call", operation] or ["call", operation, input], in turn: what each came to."""
    spec = context.get_input()
    who = df.EntityId(spec.get("entity", "cell"), spec["key"])
    ends = []
    for _, *operation in spec["steps"]:
        try:
            ends.append({"ok": (yield context.call_entity(who, *operation))})
        except Exception as error:
            ends.append({"failed": str(error), "type": type(error).__name__})
    return ends


@orchestrator
def entity_fan(context: Context) -> Steps:
    who = df.EntityId("cell", context.get_input())
    return sorted((yield context.task_all([context.call_entity(who, "add", 1) for _ in range(5)])))
