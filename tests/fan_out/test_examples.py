"""The recipe and the two examples: their work, their orchestrators stepped by hand, their refusals."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Generator
from pathlib import Path
from typing import Any

import azure.functions as func
import pytest

from fan_out import customers, orders, recipe, work

ROOT = Path(__file__).parents[2]


class Context:
    """As much of an orchestration context as these orchestrators touch; a task is the tuple that made it."""

    def __init__(self, given: Any = None) -> None:
        self.given = given

    def get_input(self) -> Any:
        return self.given

    def call_activity(self, activity: Any, argument: Any = None) -> tuple[str, str, Any]:
        return ("call", activity.build().get_function_name(), argument)

    def task_all(self, tasks: list[Any]) -> tuple[str, list[Any]]:
        return ("all", tasks)


def orchestrator(function: Any, given: Any = None) -> Generator[Any, Any, Any]:
    return function.build().get_user_function().orchestrator_function(Context(given))


def finish(generator: Generator[Any, Any, Any], value: Any) -> Any:
    with pytest.raises(StopIteration) as stopped:
        generator.send(value)
    return stopped.value.value


def request(body: bytes = b"", **route: str) -> func.HttpRequest:
    return func.HttpRequest("POST", "http://localhost/api/x", body=body, route_params=route)


class Client:
    """A durable client that only remembers what it was asked to start."""

    def __init__(self) -> None:
        self.started: list[tuple[str, Any]] = []

    async def start_new(self, name: str, client_input: Any = None) -> str:
        self.started.append((name, client_input))
        return "the-id"

    def create_check_status_response(self, req: func.HttpRequest, instance_id: str) -> func.HttpResponse:
        return func.HttpResponse(json.dumps({"id": instance_id}), status_code=202)


async def start(function: Any, req: func.HttpRequest) -> tuple[func.HttpResponse, list[tuple[str, Any]]]:
    client = Client()
    response = await function.build().get_user_function().client_function(req=req, client=client)
    return response, client.started


def test_the_recipe_fans_out_over_five_items_and_returns_their_results_in_order():
    run = orchestrator(recipe.fan_out_fan_in_orchestrator)
    assert next(run) == ("all", [("call", "process_item", f"item-{n}") for n in range(1, 6)])
    assert finish(run, ["a", "b"]) == ["a", "b"]


def test_the_recipe_takes_other_items():
    run = orchestrator(recipe.fan_out_fan_in_orchestrator, {"items": ["x"]})
    assert next(run) == ("all", [("call", "process_item", "x")])


@pytest.mark.parametrize(
    ("function", "given"),
    [(recipe.fan_out_fan_in_orchestrator, {"items": []}), (customers.process_customers, {"customers": []})],
)
def test_nothing_to_do_is_an_empty_list_and_schedules_nothing(function, given):
    assert finish(orchestrator(function, given), None) == []


def test_process_customers_runs_all_customers_in_one_task_all():
    run = orchestrator(customers.process_customers, {"customers": ["ann", "bob"]})
    assert next(run) == ("all", [("call", "process_customer", "ann"), ("call", "process_customer", "bob")])
    assert finish(run, ["A", "B"]) == ["A", "B"]


def test_process_order_does_its_steps_in_order_and_tells_what_each_did():
    run = orchestrator(orders.process_order, {"order_id": "o-1"})
    assert next(run) == ("call", "get_order_details", "o-1")
    order = {"order_id": "o-1"}
    assert run.send(order) == (
        "all",
        [("call", step, order) for step in ("notify_customer", "update_inventory", "schedule_shipping")],
    )
    assert run.send(["told", "took", "ships"]) == ("call", "complete_order", "o-1")
    assert finish(run, "done") == {
        "order_id": "o-1",
        "details": order,
        "notification": "told",
        "inventory": "took",
        "shipping": "ships",
        "completion": "done",
    }


def test_process_order_fails_when_a_step_fails():
    run = orchestrator(orders.process_order, {"order_id": "o-1"})
    next(run)
    run.send({"order_id": "o-1"})
    with pytest.raises(LookupError, match="out of stock"):
        run.throw(LookupError("out of stock"))


def test_the_work_itself():
    assert work.process_item("item-1") == "Processed item-1"
    order = work.order_details("o-1")
    assert order["order_id"] == "o-1" and order["lines"]
    assert "o-1" in work.notify_customer(order)
    assert "WIDGET" in work.update_inventory(order)
    assert "o-1" in work.schedule_shipping(order)
    assert "o-1" in work.complete_order("o-1")
    with pytest.raises(LookupError, match="out of stock"):
        work.update_inventory(work.order_details("o-out-of-stock"))


async def test_a_customer_is_processed_after_the_time_it_takes():
    assert await work.process_customer("ann", seconds=0) == "Processed ann"


async def test_starters_start_the_defaults_without_a_body():
    response, started = await start(recipe.start_fanout, request())
    assert response.status_code == 202
    assert started == [("fan_out_fan_in_orchestrator", {"items": [f"item-{n}" for n in range(1, 6)]})]
    _, started = await start(customers.start_process_customers, request(b"{}"))
    assert started == [("process_customers", {"customers": [f"cust{n}" for n in range(1, 6)]})]
    _, started = await start(orders.start_process_order, request(order_id="o-1"))
    assert started == [("process_order", {"order_id": "o-1"})]


@pytest.mark.parametrize(
    ("body", "field", "says"),
    [
        (b"{", None, "not JSON"),
        (b"\xff", None, "not JSON"),
        (b"[" * 100_000, None, "not JSON"),
        (b"NaN", None, "NaN is not a JSON value"),
        (b"[]", None, "a list"),
        (b"null", None, "null"),
        (b'{"itmes": []}', "itmes", "'itmes'"),
        (b'{"items": "a"}', "items", "a string"),
        (b'{"items": null}', "items", "null"),
        (b'{"items": ["a", 1]}', "items", "element 1 is a number"),
        (b'{"items": [true]}', "items", "element 0 is a boolean"),
        (b'{"items": [{}]}', "items", "an object"),
    ],
)
async def test_a_body_that_is_not_as_asked_for_is_refused_in_a_sentence_and_starts_nothing(body, field, says):
    response, started = await start(recipe.start_fanout, request(body))
    answer = json.loads(response.get_body())
    assert response.status_code == 400
    assert response.mimetype == "application/json"
    assert says in answer["error"] and answer["error"].endswith(".")
    assert answer.get("field") == field
    assert started == []


async def test_an_order_takes_no_body():
    response, started = await start(orders.start_process_order, request(b'{"rush": 1}', order_id="o-1"))
    assert response.status_code == 400
    assert started == []


def test_the_app_loads_and_every_http_function_asks_for_a_key():
    # In a process of its own: get_functions() may be called once.
    code = """
import json, function_app
functions = function_app.app.get_functions()
bindings = {f.get_function_name(): [b.get_dict_repr() for b in f.get_bindings()] for f in functions}
print(json.dumps(bindings, default=str))
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    functions = json.loads(done.stdout)
    assert {"start_fanout", "fan_out_fan_in_orchestrator", "process_item"} <= set(functions)
    triggers = [b for bindings in functions.values() for b in bindings if b["type"] == "httpTrigger"]
    assert triggers and {trigger["authLevel"] for trigger in triggers} == {"FUNCTION"}
