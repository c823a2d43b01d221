"""Where dfhost differs from the extension on purpose, and what it answers instead.

Each entry turns the recording into dfhost's answer by changing exactly what differs, so everything else in the
scenario is still held to the recording. The README gives users the same list.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

Change = Callable[[Any], None]


@dataclass(frozen=True)
class Difference:
    """`reason`: why dfhost does better to differ. `change`: turns the recording into what it answers."""

    reason: str
    change: Change

    def instead_of(self, recorded: Any) -> Any:
        expected = copy.deepcopy(recorded)
        self.change(expected)
        return expected


DIFFERENCES: dict[str, Difference] = {}


def differs(scenario: str, reason: str) -> Callable[[Change], Change]:
    def add(change: Change) -> Change:
        DIFFERENCES[scenario] = Difference(reason, change)
        return change

    return add


# -- turning a recorded status into another one ------------------------------------------------------------------
def ended(answer: Any, status: str, output: Any, *result: Any) -> None:
    """The status answer of an instance that has ended so; `result`: its history's, if that is shown otherwise."""
    answer["status"] = 200
    answer["headers"].pop("Location", None)
    answer["headers"].pop("Retry-After", None)
    body = answer["body"]
    body["runtimeStatus"], body["output"] = status, output
    if "historyEvents" in body:
        events = [event for event in body["historyEvents"] if event["EventType"] not in ENDS]
        body["historyEvents"] = [*events, completed(status, *(result or (output,)))]


ENDS = ("ExecutionCompleted", "ExecutionTerminated")
TIME = "TIME.fZ"  # as the first set writes a time with a fraction; the second one writes TIME


def completed(status: str, *result: Any) -> dict[str, Any]:
    return {
        "EventType": "ExecutionCompleted",
        "OrchestrationStatus": status,
        "FailureDetails": None,
        "Timestamp": "TIME",
        **({"Result": result[0]} if result else {}),
    }


def unknown(kind: str, name: str, orchestrator: str) -> str:
    return (
        f"Orchestrator function '{orchestrator}' failed: The function '{name}' doesn't exist, is disabled, or is not "
        f"an {kind} function. Additional info: The following are the known {kind} functions: NAMES."
    )


# -- what can never start fails at once --------------------------------------------------------------------------
NEVER = "what can never start fails at once and names what exists; the extension waits for ever"


@differs("unknown_activity", NEVER)
def _unknown_activity(expected: Any) -> None:
    ended(expected["final"], "Failed", unknown("activity", "nobody", "unknown_activity"))
    expected["final"]["body"]["historyEvents"][-1]["Timestamp"] = TIME


@differs("sub_unknown", NEVER)
def _sub_unknown(expected: Any) -> None:
    text = unknown("orchestrator", "nobody_at_all", "sub_unknown")
    ended(expected["state"], "Failed", text)
    del expected["state"]["body"]["historyEvents"][-1]["Result"]  # asked for without outputs
    ended(expected["final"], "Failed", text)


@differs("entity_unknown", NEVER)
def _entity_unknown(expected: Any) -> None:
    ended(expected["final"], "Failed", unknown("entity", "nobody", "entity_script"))


# -- values that the extension would mix up ----------------------------------------------------------------------
MIXED_UP = (
    "the extension hands a result to the wrong task and nobody notices; dfhost names both tasks and fails"
)
ON_AZURE = (
    "On Azure the result of one would silently become the value of the other. Settle every task of a failed "
    "task_all (try: yield task, for each) before anything new is called, build a compound before any of its "
    "tasks is yielded alone or leave that task out of it, and pass no task twice."
)


@differs("same_task_in_all", MIXED_UP)
def _same_task_in_all(expected: Any) -> None:
    body = expected["final"]["body"]
    body["historyEvents"] = body["historyEvents"][:1]
    ended(
        expected["final"],
        "Failed",
        "Orchestrator function 'same_task_in_all' failed: call_activity('echo', \"once\") is listed more than once: "
        "twice in a task_all or task_any, or there and yielded alone as well. Azure would start it again, as task 1, "
        "and results would silently become the values of other tasks. Pass each task once.",
    )


@differs("failed_all_with_retry", MIXED_UP)
def _failed_all_with_retry(expected: Any) -> None:
    body = expected["final"]["body"]
    fired = [event["EventType"] for event in body["historyEvents"]].index("TimerFired")
    body["historyEvents"] = body["historyEvents"][: fired + 1]
    ended(
        expected["final"],
        "Failed",
        "Orchestrator function 'failed_all_with_retry' failed: task 3 is the retry attempt of "
        'call_activity_with_retry(\'flaky\', {"key": "STACK…) for the Durable Task extension, but '
        "call_activity('echo', \"next\") for the Python SDK. " + ON_AZURE,
    )


# -- the true cause ----------------------------------------------------------------------------------------------
CAUSE = "failed as on the extension, but with the true cause in place of a misleading text"


@differs("status_size", CAUSE)
def _status_size(expected: Any) -> None:
    for size, kilobytes in (("9000", 17), ("20000", 39)):
        ended(
            expected[size],
            "Failed",
            "Orchestrator function 'status_big' failed: The UTF-16 size of the JSON-serialized payload must not "
            f"exceed 16 KB. The current payload size is {kilobytes} KB.",
        )


@differs("bad_output", CAUSE)
def _bad_output(expected: Any) -> None:
    ended(
        expected["final"],
        "Failed",
        "Orchestrator function 'bad_output' failed: Object of type set is not JSON serializable",
    )


@differs("class_output_caught", CAUSE)
def _class_output_caught(expected: Any) -> None:
    message = "Object of type Point is not JSON serializable"
    reason = f"Orchestrator function 'class_output' failed: {message}"
    details = f"Message: {message}, StackTrace:STACK"
    for event in expected["final"]["body"]["historyEvents"]:
        if event["EventType"] == "SubOrchestrationInstanceFailed":
            event |= {"Reason": reason, "Details": details}
    ended(expected["final"], "Completed", {"caught": f"{reason} \n {details}"})


# -- code that changed -------------------------------------------------------------------------------------------
READABLE = "failed in the extension's words, and the history can be read; the extension answers 400"


@differs("nondeterministic", READABLE)
def _nondeterministic(expected: Any) -> None:
    reads(expected["final"], "nondeterministic", "hello_async", "INSTANCE", TIME, "TIME.f+00:00", "TIMEZ")


@differs("nd_changed_name", READABLE)
def _nd_changed_name(expected: Any) -> None:
    reads(expected["with_history"], "changed_name", "kind_of", "I1", "TIME", "TIME", "TIME")


def reads(answer: Any, name: str, instead: str, id: str, time: str, scheduled: str, whole: str) -> None:
    text = (
        "Non-Deterministic workflow detected: A previous execution of this orchestration scheduled an activity task "
        "with sequence number 0 named 'echo', but the current orchestration replay instead scheduled an activity "
        f"task named '{instead}' with this sequence number.  Was a change made to the orchestrator code after this "
        "instance had already started running?"
    )
    answer["status"] = 200
    answer["body"] = {
        "name": name,
        "instanceId": id,
        "runtimeStatus": "Failed",
        "input": None,
        "customStatus": None,
        "output": text,
        "createdTime": whole,
        "lastUpdatedTime": whole,
        "historyEvents": [
            {
                "EventType": "ExecutionStarted",
                "FunctionName": name,
                "Input": None,
                "Correlation": None,
                "ParentTraceContext": None,
                "ScheduledStartTime": None,
                "Generation": 0,
                "GenerateNewTrace": False,
                "Timestamp": time,
            },
            {
                "EventType": "TaskCompleted",
                "FunctionName": "echo",
                "Input": None,
                "Result": "n",
                "ScheduledTime": scheduled,
                "Timestamp": time,
            },
            completed("Failed", text) | {"Timestamp": time},
        ],
    }


# -- entities ----------------------------------------------------------------------------------------------------
@differs(
    "entity_bad_state",
    "a reply that cannot be serialised fails its operations; the extension repeats the batch for ever, and "
    "its caller waits",
)
def _entity_bad_state(expected: Any) -> None:
    message = "TypeError: class <class 'object'> does not expose a `to_json` function"
    output = [{"ok": None}, {"failed": message, "type": "Exception"}, {"ok": 1}]
    final = expected["final"]
    events = final["body"]["historyEvents"]
    answered = next(event for event in events if event["EventType"] == "EventRaised")
    asked = events[-1]

    def answer(result: str, error: str = "") -> Any:
        return answered | {"Input": answered["Input"].replace('"result":"null"', f'"result":{result}{error}')}

    events += [
        answer(f'"\\"{message}\\""', ',"exceptionType":"Error"'),
        asked | {"Input": asked["Input"].replace('"op":"bad_state"', '"op":"get"')},
        answer('"1"'),
    ]
    ended(final, "Completed", output)


# -- bodies ------------------------------------------------------------------------------------------------------
@differs(
    "http_start_bodies", "a JSON body is JSON: comments and NaN are refused; the extension reads them somehow"
)
def _http_start_bodies(expected: Any) -> None:
    def refused(character: str) -> Any:
        return {
            "status": 400,
            "headers": {"Content-Type": "application/json; charset=utf-8"},
            "body": {
                "Message": "Invalid JSON content",
                "ExceptionMessage": f"Unexpected character encountered while parsing value: {character}. "
                "Path '', line 0, position 0.",
                "ExceptionType": "Newtonsoft.Json.JsonReaderException",
            },
        }

    trace = {"StackTrace": "STACK"}
    expected["comment"], expected["nan"] = refused("/"), refused("N")
    expected["comment"]["body"] |= trace


# -- children ----------------------------------------------------------------------------------------------------
@differs(
    "sub_existing_running",
    "a child may not take the id of a running instance: that call fails; the extension replaces the running one, "
    "which is lost",
)
def _sub_existing_running(expected: Any) -> None:
    caught = {
        "caught": "An Orchestration instance with the status Running already exists: the id 'KID' is taken. "
        "On Azure the running instance would be replaced, and lost. \n None"
    }
    refused = {
        "EventType": "SubOrchestrationInstanceFailed",
        "FunctionName": "wait_for",
        "InstanceId": "KID",
        "Input": None,
        "Reason": caught["caught"].removesuffix(" \n None"),
        "Details": None,
        "FailureDetails": None,
        "ScheduledTime": "TIME",
        "Timestamp": "TIME",
    }
    for label, result in (("parent", ()), ("parent_end", (caught,))):
        parent = expected[label]
        started = parent["body"]["historyEvents"][0]
        parent["body"]["historyEvents"] = [started, refused]
        ended(parent, "Completed", caught)
        if not result:  # asked for without outputs
            del parent["body"]["historyEvents"][-1]["Result"]
    # The kid is still the one that waits for `one`.
    kid = expected["kid"]["body"]
    kid["input"] = '"one"'
    del kid["parentInstanceId"]
    kid["historyEvents"][0] |= {"Input": '"\\"one\\""', "Generation": 0}
    gone_by_one = {
        "http": 200,
        "input": '"one"',
        "output": ["str", "v1"],
        "runtimeStatus": "Completed",
        "customStatus": None,
    }
    expected["kid_after_one"] = expected["kid_end"] = gone_by_one
    expected["raise_two"] = {"status": 410, "headers": {}, "body": None}
