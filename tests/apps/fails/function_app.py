"""Orchestrators that fail, each in another way; the tests check what the log says of them."""

import azure.durable_functions as df

app = df.DFApp()


def helper(given):
    return given["missing"]


@app.orchestration_trigger(context_name="context")
def in_a_helper(context):
    yield context.call_activity("fine", 1)
    return helper({})


@app.orchestration_trigger(context_name="context")
def without_a_word(context):
    yield context.call_activity("fine", 1)
    assert context is None


@app.orchestration_trigger(context_name="context")
def before_it_yields(context):
    return helper({})


@app.orchestration_trigger(context_name="context")
def of_its_own(context):
    try:
        yield context.call_activity("bad", 1)
    except Exception as error:
        raise ValueError("no luck") from error


@app.orchestration_trigger(context_name="context")
def of_its_activity(context):
    return (yield context.call_activity("bad", 1))


@app.orchestration_trigger(context_name="context")
def a_set(context):
    yield context.call_activity("fine", 1)
    return {1}


@app.orchestration_trigger(context_name="context")
def no_task(context):
    yield 5


@app.orchestration_trigger(context_name="context")
def a_generator(context):
    yield (context.create_timer(each) for each in ())


@app.orchestration_trigger(context_name="context")
def nothing(context):
    yield None


@app.orchestration_trigger(context_name="context")
def nothing_later(context):
    yield context.call_activity("fine", 1)
    yield


@app.orchestration_trigger(context_name="context")
def without_yield(context):
    return context.call_activity("fine", 1)


@app.orchestration_trigger(context_name="context")
async def as_a_coroutine(context):
    return 1


@app.orchestration_trigger(context_name="context")
async def as_an_async_generator(context):
    yield context.call_activity("fine", 1)


@app.activity_trigger(input_name="number")
def fine(number: int) -> int:
    return number


@app.activity_trigger(input_name="number")
def bad(number: int) -> int:
    raise RuntimeError("a bad one")


class Receipt:
    @staticmethod
    def to_json(receipt):
        return "{}"


@app.orchestration_trigger(context_name="context")
def an_object(context):
    yield context.call_activity("fine", 1)
    return [Receipt()]


@app.orchestration_trigger(context_name="context")
def a_time_in_a_dict(context):
    yield context.call_activity("fine", 1)
    return {"took": [1, {"since": context.current_utc_datetime}]}


@app.orchestration_trigger(context_name="context")
def the_winner(context):
    winner = yield context.task_any([context.call_activity("bad", 1), context.wait_for_external_event("go")])
    return {"won": winner.result}


@app.orchestration_trigger(context_name="context")
def asks_the_winner(context):
    return (yield context.call_sub_orchestrator("the_winner"))


@app.orchestration_trigger(context_name="context")
def what_it_caught(context):
    try:
        yield context.call_activity("bad", 1)
    except Exception as error:
        return error
