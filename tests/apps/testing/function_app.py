"""What tests/testing tests with: one orchestrator for each thing that a test may want to steer or look at."""

import logging
import random
import time
import uuid
from datetime import datetime, timedelta

import azure.durable_functions as df
import azure.functions as func

app = df.DFApp()
charged: list[object] = []


def price_of(order: str) -> int:
    return len(order)


# -- approval: an event against a timer ----------------------------------------------------------------------
@app.route(route="approvals/{who?}", methods=["POST"])
@app.durable_client_input(client_name="client")
async def start_approval(req: func.HttpRequest, client) -> func.HttpResponse:
    try:
        id = await client.start_new("approval", client_input=req.get_json())
    except Exception as error:
        return func.HttpResponse(f"cannot start: {error}", status_code=503)
    return client.create_check_status_response(req, id)


@app.orchestration_trigger(context_name="context")
def approval(context):
    request = context.get_input()
    yield context.call_activity("send_mail", {"to": "boss", "amount": request["amount"]})
    answer = context.wait_for_external_event("approved")
    deadline = context.create_timer(context.current_utc_datetime + timedelta(days=3))
    winner = yield context.task_any([answer, deadline])
    if winner is answer:
        deadline.cancel()
        return answer.result or "approved"
    return "escalated"


@app.activity_trigger(input_name="mail")
def send_mail(mail: dict) -> str:
    logging.info("mail to %s", mail["to"])
    return "sent"


# -- charging: retries, order of calls -----------------------------------------------------------------------
@app.orchestration_trigger(context_name="context")
def pay(context):
    retry = df.RetryOptions(first_retry_interval_in_milliseconds=60_000, max_number_of_attempts=3)
    context.set_custom_status("charging")
    receipt = yield context.call_activity_with_retry("charge", retry, context.get_input())
    context.set_custom_status("paid")
    return receipt


@app.activity_trigger(input_name="order")
def charge(order: str) -> dict:
    charged.append(order)
    return {"order": order, "price": price_of(str(order))}


@app.orchestration_trigger(context_name="context")
def fan(context):
    return (yield context.task_all([context.call_activity("charge", each) for each in context.get_input()]))


@app.orchestration_trigger(context_name="context")
def families(context):
    return (
        yield context.task_all([context.call_sub_orchestrator("fan", each) for each in context.get_input()])
    )


@app.activity_trigger(input_name="order")
async def charge_async(order: str) -> str:
    return f"async {order}"


@app.orchestration_trigger(context_name="context")
def pay_async(context):
    return (yield context.call_activity("charge_async", context.get_input()))


@app.activity_trigger(input_name="order")
@app.retry(strategy="fixed_delay", max_retry_count="2", delay_interval="00:05:00")
def charge_stubbornly(order: str) -> str:
    return third_time_lucky(order)


def third_time_lucky(order: str) -> str:
    charged.append(order)
    if len(charged) < 3:
        raise ConnectionError("down")
    return "at last"


@app.orchestration_trigger(context_name="context")
def pay_stubbornly(context):
    return (yield context.call_activity("charge_stubbornly", context.get_input()))


# -- children ------------------------------------------------------------------------------------------------
@app.orchestration_trigger(context_name="context")
def order(context):
    paid = yield context.call_sub_orchestrator("pay", context.get_input())
    return {"paid": paid}


@app.orchestration_trigger(context_name="context")
def asks(context):
    return (yield context.call_sub_orchestrator(*context.get_input()))


# -- entities ------------------------------------------------------------------------------------------------
@app.entity_trigger(context_name="context")
def till(context):
    amount = context.get_state(lambda: 0)
    if context.operation_name == "add":
        amount += context.get_input()
        context.set_state(amount)
    elif context.operation_name == "fail":
        raise ValueError("the till is stuck")
    context.set_result(amount)


@app.orchestration_trigger(context_name="context")
def sell(context):
    main = df.EntityId("till", "main")
    yield context.call_entity(main, "add", context.get_input())
    return (yield context.call_entity(main, "get"))


# -- eternal, timers, http -----------------------------------------------------------------------------------
@app.orchestration_trigger(context_name="context")
def monitor(context):
    seen = yield context.call_activity("look")
    if seen == "done":
        return "done"
    yield context.create_timer(context.current_utc_datetime + timedelta(hours=1))
    context.continue_as_new(None)


@app.activity_trigger(input_name="nothing")
def look(nothing) -> str:
    return "nothing yet"


@app.orchestration_trigger(context_name="context")
def rolls_on_event(context):
    """Its timer is cancelled in the episode that continues as new. The next generation hears the event, too."""
    number = context.get_input()
    yield context.call_activity("look", None)
    reminder = context.create_timer(context.current_utc_datetime + timedelta(seconds=30))
    yield context.task_any([context.wait_for_external_event("go"), reminder])
    reminder.cancel()
    context.continue_as_new(number + 1)


@app.orchestration_trigger(context_name="context")
def fetch(context):
    response = yield context.call_http("GET", "http://weather.invalid/today")
    return response["statusCode"], response["content"]


@app.orchestration_trigger(context_name="context")
def reminds(context):
    """A timer of ten days, which the SDK divides."""
    yield context.create_timer(context.current_utc_datetime + timedelta(days=10))
    return "reminded"


@app.timer_trigger(arg_name="timer", schedule="0 0 3 * * *")
@app.retry(strategy="fixed_delay", max_retry_count="2", delay_interval="00:05:00")
@app.durable_client_input(client_name="client")
async def nightly(timer: func.TimerRequest, client) -> None:
    await client.start_new("pay", instance_id=None, client_input="nightly")


@app.queue_trigger(arg_name="message", queue_name="orders", connection="Storage")
@app.durable_client_input(client_name="client")
async def on_order(message: func.QueueMessage, client) -> None:
    await client.start_new("approval", message.get_body().decode(), {"amount": 1})


@app.route(route="wait", methods=["POST"])
@app.durable_client_input(client_name="client")
async def wait_for_it(req: func.HttpRequest, client) -> func.HttpResponse:
    id = await client.start_new(req.params["name"], client_input="wait")
    return await client.wait_for_completion_or_create_check_status_response(req, id)


@app.route(route="stubborn", methods=["GET"])
@app.retry(strategy="fixed_delay", max_retry_count="2", delay_interval="00:05:00")
def stubborn(req: func.HttpRequest) -> str:
    return third_time_lucky("http")


@app.route(route="now", methods=["GET"])
def now(req: func.HttpRequest) -> str:
    return "now"


# -- not deterministic ---------------------------------------------------------------------------------------
def _then(context, value):
    yield context.call_activity("charge", value)
    yield context.wait_for_external_event("go")


@app.orchestration_trigger(context_name="context")
def fresh_uuid(context):
    yield from _then(context, {"id": str(uuid.uuid4())})


@app.orchestration_trigger(context_name="context")
def time_of_day(context):
    yield from _then(context, datetime.now().isoformat())


@app.orchestration_trigger(context_name="context")
def clock_seconds(context):
    yield from _then(context, time.time())


@app.orchestration_trigger(context_name="context")
def any_number(context):
    yield from _then(context, [random.random()])


@app.orchestration_trigger(context_name="context")
def any_order(context):
    items = ["a", "b", "c"]
    _turn.append(None)
    yield context.task_all([context.call_activity("charge", items[(n + len(_turn)) % 3]) for n in range(3)])
    yield context.wait_for_external_event("go")


_turn: list[None] = []


@app.orchestration_trigger(context_name="context")
def set_order(context):
    names = set("Ann Bob Cid Dan Eve Fay Gus Hal Ida Jim Kay Leo".split())
    return (yield context.task_all([context.call_activity("charge", each) for each in names]))


@app.orchestration_trigger(context_name="context")
def deterministic(context):
    yield context.call_activity("charge", [str(context.new_guid()), context.current_utc_datetime.isoformat()])
    yield context.wait_for_external_event("go")
    yield context.call_activity("charge", [str(context.new_guid()), context.current_utc_datetime.isoformat()])


# -- logs ----------------------------------------------------------------------------------------------------
@app.orchestration_trigger(context_name="context")
def talks(context):
    logging.info("started %s", context.get_input())
    yield context.call_activity("send_mail", {"to": context.get_input()})
    logging.warning("ended")
