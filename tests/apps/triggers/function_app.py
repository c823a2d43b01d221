"""Functions of other triggers; each writes what it was given into SEEN."""

import typing

import azure.durable_functions as df
import azure.functions as func

app = df.DFApp()
SEEN: dict[str, typing.Any] = {}


@app.queue_trigger(arg_name="msg", queue_name="orders", connection="Storage")
def on_queue(msg: func.QueueMessage) -> None:
    SEEN["on_queue"] = [msg.get_body().decode(), msg.dequeue_count, msg.id is not None]


@app.queue_trigger(arg_name="msg", queue_name="orders", connection="Storage")
async def on_queue_text(msg: str, context: func.Context) -> None:
    SEEN["on_queue_text"] = [msg, context.function_name]


@app.blob_trigger(arg_name="blob", path="in/{name}.txt", connection="Storage")
def on_blob(blob: func.InputStream) -> None:
    SEEN["on_blob"] = [blob.name, blob.length, blob.read().decode()]


@app.service_bus_queue_trigger(arg_name="msg", queue_name="q", connection="Bus")
def on_bus(msg: func.ServiceBusMessage) -> None:
    SEEN["on_bus"] = [msg.get_body().decode(), msg.delivery_count, msg.application_properties]


@app.service_bus_topic_trigger(
    arg_name="msgs", topic_name="t", subscription_name="s", connection="Bus", cardinality="many"
)
def on_bus_many(msgs: typing.List[func.ServiceBusMessage]) -> None:  # noqa: UP006 (the worker refuses list[…])
    SEEN["on_bus_many"] = [msg.get_body().decode() for msg in msgs]


@app.event_hub_message_trigger(arg_name="event", event_hub_name="h", connection="Hub")
def on_event(event: func.EventHubEvent) -> None:
    SEEN["on_event"] = [event.get_body().decode(), event.sequence_number]


@app.event_hub_message_trigger(arg_name="events", event_hub_name="h", connection="Hub", cardinality="many")
def on_events(events: typing.List[func.EventHubEvent]) -> None:  # noqa: UP006
    SEEN["on_events"] = [event.get_body().decode() for event in events]


@app.kafka_trigger(arg_name="event", topic="t", broker_list="b")
def on_kafka(event: func.KafkaEvent) -> None:
    SEEN["on_kafka"] = [event.get_body().decode(), event.topic]


@app.kafka_trigger(arg_name="events", topic="t", broker_list="b", cardinality="MANY")
def on_kafkas(events: typing.List[func.KafkaEvent]) -> None:  # noqa: UP006
    SEEN["on_kafkas"] = [[event.get_body().decode(), event.offset] for event in events]


@app.event_grid_trigger(arg_name="event")
def on_grid(event: func.EventGridEvent) -> None:
    SEEN["on_grid"] = [event.id, event.get_json()]


@app.cosmos_db_trigger_v3(
    arg_name="docs", database_name="d", collection_name="c", connection_string_setting="Cosmos"
)
def on_docs(docs: func.DocumentList) -> None:
    SEEN["on_docs"] = [dict(doc) for doc in docs]


@app.generic_trigger(arg_name="it", type="someTrigger")
def on_something(it) -> str:
    SEEN["on_something"] = it
    return "ignored"


@app.timer_trigger(schedule="0 0 0 1 1 *", arg_name="tick")
def on_time(tick: func.TimerRequest) -> None:
    SEEN["on_time"] = tick.past_due


@app.queue_trigger(arg_name="msg", queue_name="orders", connection="Storage")
@app.queue_output(arg_name="$return", queue_name="more", connection="Storage")
def forwards(msg: str) -> str:
    return f"{msg} again"


@app.queue_trigger(arg_name="msg", queue_name="orders", connection="Storage")
def returns(msg: str):
    return msg


@app.queue_trigger(arg_name="msg", queue_name="orders", connection="Storage")
def poison(msg: str) -> None:
    raise ValueError(msg)


@app.activity_trigger(input_name="value")
def act(value):
    SEEN["act"] = value


@app.orchestration_trigger(context_name="context", orchestration="Main")
def main(context):
    yield context.call_activity("act", 1)


@app.entity_trigger(context_name="context")
def cell(context): ...


@app.route(route="page/{id}")
def page(req: func.HttpRequest) -> str:
    return "page"
