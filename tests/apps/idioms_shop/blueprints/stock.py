"""Activities with the annotations that the real worker takes, and habits that need a well-behaved host."""

import asyncio
import concurrent.futures
import multiprocessing
import typing
from json import load

import azure.durable_functions as df
import azure.functions as func

from .decorators import logged

bp = df.Blueprint()

with open("data/prices.json", encoding="utf-8") as file:  # relative to the app's folder
    PRICES = load(file)


@bp.function_name("price_of")
@bp.activity_trigger(input_name="item")
def price(item: str) -> int:
    return int(PRICES[item])


@bp.activity_trigger(input_name="lines")
@logged
async def add_up(lines: typing.List[dict]) -> int:  # noqa: UP006  (the real worker takes no list[dict])
    await asyncio.sleep(0)
    return sum(line["price"] for line in lines)


@bp.activity_trigger(input_name="order")
def receipt(order, context: func.Context) -> str:
    return f"{context.function_name}: {order.customer} bought {', '.join(order.items)}"


@bp.activity_trigger(input_name="payload")
def read_file(payload) -> list:
    with open("data/prices.json", encoding="utf-8") as file:
        return sorted(load(file))


@bp.activity_trigger(input_name="instance")
@bp.durable_client_input(client_name="client")
async def ask_status(instance: str, client: df.DurableOrchestrationClient) -> str:
    status = await client.get_status(instance)
    return status.runtime_status.name


@bp.activity_trigger(input_name="payload")
def own_loop(payload: str) -> str:
    async def nothing() -> str:
        await asyncio.sleep(0)
        return "done"

    return asyncio.run(nothing())


@bp.activity_trigger(input_name="payload")
def processes(payload: str) -> list:
    """Spawned, as on macOS and Windows: the child imports function_app anew, by its name."""
    from function_app import square

    spawn = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(1, mp_context=spawn) as pool:
        return list(pool.map(square, range(3)))
