"""An app for the tests of the map: the blueprint, an activity that does as its item says and leaves marks of
when it ran, and an orchestrator that uses `fan_out_map` as a developer would."""

import asyncio
import logging
import os
import time
from datetime import timedelta

import azure.durable_functions as df

from fan_out import bp, fan_out_map, map_activity, settle

app = df.DFApp()
app.register_functions(bp)

MARKS = os.open(os.environ["MARKS"], os.O_APPEND | os.O_CREAT | os.O_WRONLY)


# The console gathers lines that come in bursts; this file has every one of them.
logging.getLogger("fan_out").addHandler(logging.FileHandler(os.environ["MARKS"] + ".log"))


def mark(entry, what):
    # One write of one line: whole, whatever else is written and whenever the process is killed.
    line = f"{what} {entry['map_id']} {entry['index']} {time.monotonic()}\n"
    os.write(MARKS, line.encode())


@app.activity_trigger(input_name="entry")
@map_activity(envelope=True)
async def work(entry):
    """item: {"seconds": how long, "gate": until that file is there, "fails": how many tries fail (-1: all),
    "value": what to return}"""
    item = entry["item"] if isinstance(entry["item"], dict) else {"value": entry["item"]}
    tries = TRIES[entry["map_id"], entry["index"]] = TRIES.get((entry["map_id"], entry["index"]), 0) + 1
    mark(entry, "start")
    try:
        await asyncio.sleep(item.get("seconds", 0))
        while "gate" in item and not os.path.exists(item["gate"]):
            await asyncio.sleep(0.01)
        if item.get("fails", 0) < 0 or tries <= item.get("fails", 0):
            raise ValueError(f"item {entry['index']} fails")
        return item.get("value", entry["index"])
    finally:
        mark(entry, "end")


TRIES = {}


class Celsius:
    def __init__(self, degrees):
        self.degrees = degrees

    @staticmethod
    def to_json(value):
        return value.degrees

    @staticmethod
    def from_json(degrees):
        return Celsius(degrees)


@app.activity_trigger(input_name="degrees")
@map_activity
def measured(degrees):
    if degrees < -273:
        raise ValueError("colder than cold")
    return Celsius(degrees)


@app.activity_trigger(input_name="item")
def undecorated(item):
    return ["got", item]


@app.orchestration_trigger(context_name="context")
def mapping(context):
    """{"activity", "items", "options", "retry": [seconds, attempts], "timeout": seconds, "maps": how many};
    "lists" in place of "items" and "maps": a map over each."""
    given = context.get_input()
    options = dict(given.get("options", {}))
    if "retry" in given:
        seconds, attempts = given["retry"]
        options["retry"] = df.RetryOptions(int(seconds * 1000), attempts)
    if "timeout" in given:
        options["timeout"] = timedelta(seconds=given["timeout"])
    outcomes = []
    for items in given["lists"] if "lists" in given else [given["items"]] * given.get("maps", 1):
        outcomes.append((yield from fan_out_map(context, given["activity"], items, **options)))
    return outcomes


@app.orchestration_trigger(context_name="context")
def nested(context):
    """A map over each list of items, all of them at the same time, and one over what they came to."""
    lists = context.get_input()["lists"]
    maps = yield context.task_all(
        [
            context.call_sub_orchestrator("mapping", {"activity": "undecorated", "items": items})
            for items in lists
        ]
    )
    counts = [outcomes[0]["succeeded"] for outcomes in maps]
    outcome = yield from fan_out_map(context, undecorated, counts)
    return [entry["result"] for entry in outcome["results"]]


@app.orchestration_trigger(context_name="context")
def settling(context):
    """Three kinds of tasks, some of which fail, then one more activity: every value in its place."""
    retry = df.RetryOptions(10, 2)
    entry = {"index": 0, "map_id": context.instance_id}
    outcomes = yield from settle(
        context,
        [
            context.call_activity(work, {**entry, "item": {"fails": -1}}),
            context.call_activity_with_retry(undecorated, retry, 1),
            context.call_activity_with_retry(work, retry, {**entry, "index": 1, "item": {"fails": 1}}),
            context.call_activity_with_retry(work, retry, {**entry, "index": 2, "item": {"fails": -1}}),
            context.call_sub_orchestrator("failing"),
        ],
    )
    after = yield context.call_activity(undecorated, "after")
    return [outcomes, after]


@app.orchestration_trigger(context_name="context")
def failing(context):
    yield context.call_activity(undecorated, 1)
    raise LookupError("the child failed")
