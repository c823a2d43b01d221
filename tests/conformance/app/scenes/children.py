"""Sub-orchestrations: ids, inputs, failures, retries, and what befalls a child or its parent."""

import azure.durable_functions as df

from .blueprint import orchestrator
from .fan_out import Context, Steps


@orchestrator
def child(context: Context) -> Steps:
    return (yield context.call_activity("process_item", f"child {context.get_input()}"))


@orchestrator
def child_fails(context: Context) -> Steps:
    yield context.call_activity("fail", "in child")


@orchestrator
def parent(context: Context) -> Steps:
    """One with a generated id, one with its own, two at once."""
    one = yield context.call_sub_orchestrator("child", 1)
    two = yield context.call_sub_orchestrator("child", 2, f"{context.instance_id}:named")
    return [one, two, (yield context.task_all([context.call_sub_orchestrator("child", n) for n in (3, 4)]))]


@orchestrator
def parent_of_failure(context: Context) -> Steps:
    try:
        yield context.call_sub_orchestrator("child_fails", None)
    except Exception as error:
        return "caught: " + str(error).splitlines()[0]


@orchestrator
def parent_with_retry(context: Context) -> Steps:
    try:
        yield context.call_sub_orchestrator_with_retry("child_fails", df.RetryOptions(200, 2), None)
    except Exception as error:
        return "caught: " + str(error).splitlines()[0]


@orchestrator
def echo_child(context: Context) -> object:
    return context.get_input()


@orchestrator
def child_facts(context: Context) -> object:
    given = context.get_input()
    return {
        "input": given,
        "type": type(given).__name__,
        "parent": context.parent_instance_id,
        "id": context.instance_id,
        "version": context.version,
    }


@orchestrator
def sub_inputs(context: Context) -> Steps:
    """A child for each kind of input, returned with its facts."""
    facts = []
    for given in [None, 0, 1, "", "text", "7", True, [], [1], {}, {"a": None}, "ü"]:
        facts.append((yield context.call_sub_orchestrator("child_facts", given)))
    return facts


@orchestrator
def sub_unknown(context: Context) -> Steps:
    return (yield context.call_sub_orchestrator("nobody_at_all", 1))


@orchestrator
def sub_with_id(context: Context) -> Steps:
    spec = context.get_input()
    try:
        end = yield context.call_sub_orchestrator(spec.get("name", "wait_for"), spec.get("input"), spec["id"])
        return {"child": end}
    except Exception as error:
        return {"caught": str(error)}


@orchestrator
def keeps_child(context: Context) -> Steps:
    return (yield context.call_sub_orchestrator("wait_for", "go", f"{context.instance_id}-kid"))


@orchestrator
def level_own(context: Context) -> Steps:
    """As deep as the input says; the innermost raises by itself."""
    depth = context.get_input()
    if depth == 0:
        raise KeyError("deep")
    return (yield context.call_sub_orchestrator("level_own", depth - 1))


@orchestrator
def rewind_child(context: Context) -> Steps:
    kept = yield context.call_activity("echo", "child kept")
    return [kept, (yield context.call_activity("flaky", {"key": context.get_input(), "failures": 1}))]


@orchestrator
def rewind_parent(context: Context) -> Steps:
    kept = yield context.call_activity("echo", "parent kept")
    return [kept, (yield context.call_sub_orchestrator("rewind_child", context.instance_id))]
