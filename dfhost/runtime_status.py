"""The runtime statuses of an instance, as the management API names them."""

from __future__ import annotations

#: Their numbers are those of DurableTask.Core's OrchestrationStatus. No instance keeps the third one.
RUNTIME_STATUSES = (
    "Running",
    "Completed",
    "ContinuedAsNew",
    "Failed",
    "Canceled",
    "Terminated",
    "Pending",
    "Suspended",
)
FINAL_STATUSES = ("Completed", "Failed", "Terminated", "Canceled")
