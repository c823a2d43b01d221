"""How people lay out larger apps: blueprints in a package, modules that import the app back, files beside it."""

import logging
import sys

import azure.durable_functions as df
import azure.functions as func
from blueprints import orders, stock
from blueprints.pages import pages

# What many apps do first; it must not silence or break anything.
logging.basicConfig(stream=sys.stdout, format="shop says %(message)s", force=True)

app = func.FunctionApp(http_auth_level=func.AuthLevel.ANONYMOUS)
client_side = df.Blueprint()


def square(number: int) -> int:
    return number * number


# The client's decorator above the route's, and a client with a type.
@client_side.durable_client_input(client_name="client")
@client_side.route(route="start/{name}", methods=(func.HttpMethod.POST,))
async def start(req: func.HttpRequest, client: df.DurableOrchestrationClient) -> func.HttpResponse:
    order = orders.Order.from_json(req.get_body().decode()) if req.route_params["name"] == "sell" else None
    instance = await client.start_new(req.route_params["name"], None, order or req.get_json())
    return client.create_check_status_response(req, instance)


app.register_functions(client_side)
app.register_blueprint(orders.bp)
app.register_functions(stock.bp)
app.register_functions(pages)

import shelves  # noqa: E402, F401  (it declares functions on `app`, which has to be there by then)
