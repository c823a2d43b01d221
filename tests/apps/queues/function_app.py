"""Queue functions that do what their messages say, and functions of every kind that write to queues.

A message is a few words. Every call notes itself at the gate "seen"; "stop NAME" stops at that gate, "fail" raises.
"""

import typing

import azure.durable_functions as df
import azure.functions as func

from tests.support import gates

app = df.DFApp()


def follow(function: str, message: func.QueueMessage) -> None:
    text = message.get_body().decode()
    gates.note("seen", (function, text, message.dequeue_count))
    verb, _, gate = text.partition(" ")
    if verb == "stop":
        gates.stop_at(gate)
    if verb == "fail":
        raise ValueError(text)


# -- functions that take messages ----------------------------------------------------------------------------
@app.queue_trigger(arg_name="message", queue_name="Orders", connection="Storage")
def on_order(message: func.QueueMessage) -> None:
    follow("on_order", message)


@app.queue_trigger(arg_name="message", queue_name="shared", connection="Storage")
def one(message: func.QueueMessage) -> None:
    follow("one", message)


@app.queue_trigger(arg_name="message", queue_name="shared", connection="Storage")
async def other(message: func.QueueMessage) -> None:
    gates.note("seen", ("other", message.get_body().decode(), message.dequeue_count))
    await gates.stop_at_async(message.get_body().decode().partition(" ")[2])


@app.queue_trigger(arg_name="message", queue_name="%INBOX%", connection="Storage")
def on_inbox(message: func.QueueMessage) -> None:
    follow("on_inbox", message)


@app.queue_trigger(arg_name="message", queue_name="letters-poison", connection="Storage")
def on_letter(message: func.QueueMessage) -> None:
    follow("on_letter", message)


@app.queue_trigger(arg_name="message", queue_name="stubborn", connection="Storage")
@app.retry(strategy="fixed_delay", max_retry_count="2", delay_interval="00:01:00")
def on_stubborn(message: func.QueueMessage) -> None:
    follow("on_stubborn", message)


@app.queue_trigger(arg_name="message", queue_name="looks", connection="Storage")
def on_look(message: func.QueueMessage) -> None:
    gates.note("looks", message)


@app.queue_trigger(arg_name="text", queue_name="texts", connection="Storage")
def on_text(text: str) -> None:
    gates.note("texts", text)


# -- functions that put messages -----------------------------------------------------------------------------
@app.queue_trigger(arg_name="message", queue_name="steps", connection="Storage")
@app.queue_output(arg_name="out", queue_name="out", connection="Storage")
def passes_on(message: func.QueueMessage, out: func.Out[str]) -> None:
    out.set(f"queue {message.get_body().decode()}")


@app.route("sync", methods=["POST"])
@app.queue_output(arg_name="out", queue_name="out", connection="Storage")
def http_sync(req: func.HttpRequest, out: func.Out[str]) -> str:
    out.set(req.get_body().decode())
    return "put"


@app.route("async", methods=["POST"])
@app.queue_output(arg_name="out", queue_name="out", connection="Storage")
async def http_async(req: func.HttpRequest, out: func.Out[str]) -> str:
    out.set(req.get_body().decode())
    return "put"


@app.route("fails", methods=["POST"])
@app.queue_output(arg_name="out", queue_name="out", connection="Storage")
def http_fails(req: func.HttpRequest, out: func.Out[str]) -> str:
    out.set("never")
    raise ValueError("after all")


@app.route("list", methods=["POST"])
@app.queue_output(arg_name="out", queue_name="out", connection="Storage")
def http_list(req: func.HttpRequest, out: func.Out[typing.List[str]]) -> str:  # noqa: UP006
    out.set(req.get_body().decode().split())
    return "put"


@app.route("message", methods=["POST"])
@app.queue_output(arg_name="out", queue_name="out", connection="Storage")
def http_message(req: func.HttpRequest, out: func.Out[func.QueueMessage]) -> str:
    out.set(func.QueueMessage(id="7", body=req.get_body()))
    return "put"


@app.route("bytes", methods=["POST"])
@app.queue_output(arg_name="out", queue_name="out", connection="Storage")
def http_bytes(req: func.HttpRequest, out: func.Out[bytes]) -> str:
    out.set(req.get_body())
    return "put"


@app.route("nothing", methods=["POST"])
@app.queue_output(arg_name="out", queue_name="out", connection="Storage")
def http_nothing(req: func.HttpRequest, out: func.Out[str]) -> str:
    return "put nothing"


@app.route("both", methods=["POST"])
@app.queue_output(arg_name="first", queue_name="First", connection="Storage")
@app.queue_output(arg_name="second", queue_name="%INBOX%-second", connection="Storage")
def http_both(req: func.HttpRequest, first: func.Out[str], second: func.Out[str]) -> str:
    first.set("1")
    second.set(req.get_body().decode())
    return "put"


@app.route("misnamed", methods=["POST"])
@app.queue_output(arg_name="out", queue_name="no_such_name", connection="Storage")
def http_misnamed(req: func.HttpRequest, out: func.Out[str]) -> str:
    out.set("never")
    return "put"


@app.timer_trigger(arg_name="tick", schedule="0 0 0 1 1 *")
@app.queue_output(arg_name="$return", queue_name="out", connection="Storage")
def on_time(tick: func.TimerRequest) -> str:
    return "timer"


@app.activity_trigger(input_name="text")
@app.queue_output(arg_name="out", queue_name="out", connection="Storage")
def act(text: str, out: func.Out[str]) -> str:
    out.set(f"activity {text}")
    return "acted"


@app.activity_trigger(input_name="text")
@app.queue_output(arg_name="out", queue_name="out", connection="Storage")
async def act_async(text: str, out: func.Out[str]) -> str:
    out.set(f"async activity {text}")
    return "acted"


@app.orchestration_trigger(context_name="context")
def calls(context):
    activity, text = context.get_input()
    try:
        return (yield context.call_activity(activity, text))
    except Exception as error:
        return str(error)
