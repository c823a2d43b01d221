"""Fan-out/fan-in on Azure Durable Functions. `bp` is what an app registers."""

from fan_out import customers, orders, recipe  # noqa: F401  (each puts its functions on the blueprint)
from fan_out.blueprint import bp

__all__ = ["bp"]
