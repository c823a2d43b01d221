"""Fan-out/fan-in on Azure Durable Functions.

`bp` is the blueprint that an app registers. `fan_out_map`, `settle` and `map_activity` are for orchestrators
and activities of one's own; the map needs `bp` to be registered, since it runs on its sub-orchestrations.
"""

# Each of these modules puts its functions on the blueprint.
import fan_out.customers
import fan_out.orders
import fan_out.recipe
import fan_out.reconcile  # noqa: F401
from fan_out.blueprint import bp
from fan_out.maps import routes  # noqa: F401
from fan_out.maps.map_activity import map_activity
from fan_out.maps.run import fan_out_map
from fan_out.settle import settle

__all__ = ["bp", "fan_out_map", "map_activity", "settle"]
