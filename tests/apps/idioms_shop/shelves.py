"""A module that imports the app from the module that imports it."""

import azure.durable_functions as df
from blueprints.decorators import logged

from function_app import app

assert hasattr(app, "route")
bp = df.Blueprint()


@bp.entity_trigger(context_name="context", entity_name="Shelf")
@logged
def shelf_entity(context: df.DurableEntityContext) -> None:
    count = context.get_state(lambda: 0)
    if context.operation_name == "put":
        count += context.get_input()
        context.set_state(count)
    context.set_result(count)


app.register_functions(bp)
