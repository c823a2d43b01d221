"""The function app that the conformance scenarios run: any Durable Functions host can serve this folder.

One blueprint, filled by theme in `scenes/`. Function names, inputs and failure texts are those that the
recordings show; everything else serves to make each answer depend on nothing but the host.
"""

import azure.functions as func
from scenes import (  # noqa: F401  (importing a scene registers its functions)
    activities,
    changes,
    children,
    clients,
    compounds,
    entities,
    events,
    failures,
    fan_out,
    generations,
    http_calls,
    lifecycle,
    timers,
    values,
)
from scenes.blueprint import bp

app = func.FunctionApp()
app.register_functions(bp)
