"""What the activities do, as plain functions: no Azure, no framework, so they are tested by calling them.

The work is simulated. What is real about it: it takes time, it may fail, and what it returns is JSON.
"""

from __future__ import annotations

import asyncio
from decimal import Decimal
from typing import Any

OUT_OF_STOCK = "out-of-stock"


def process_item(payload: Any) -> str:
    """`"item-1"` → `"Processed item-1"`."""
    return f"Processed {payload}"


async def process_customer(customer_id: str, seconds: float = 1.0) -> str:
    """`"cust1"` → `"Processed cust1"`, after `seconds` of waiting as for a slow service."""
    await asyncio.sleep(seconds)
    return f"Processed {customer_id}"


def order_details(order_id: str) -> dict[str, Any]:
    """The order: its id, the customer's address and the lines to ship."""
    quantity = len(order_id) % 3 + 1
    return {
        "order_id": order_id,
        "email": "customer@example.com",
        "lines": [{"sku": "WIDGET", "quantity": quantity}],
    }


def notify_customer(order: dict[str, Any]) -> str:
    return f"Told {order['email']} that order {order['order_id']} is on its way"


def update_inventory(order: dict[str, Any]) -> str:
    """Takes the lines out of stock. An order whose id holds `out-of-stock` fails: LookupError."""
    if OUT_OF_STOCK in order["order_id"]:
        raise LookupError(f"order {order['order_id']}: WIDGET is out of stock")
    return "Took " + ", ".join(f"{line['quantity']} {line['sku']}" for line in order["lines"])


def schedule_shipping(order: dict[str, Any]) -> str:
    return f"Order {order['order_id']} ships tomorrow"


def complete_order(order_id: str) -> str:
    return f"Order {order_id} is complete"


def differences(statement: list[dict[str, str]], books: list[dict[str, str]]) -> list[dict[str, Any]]:
    """Where a bank statement's rows (`invoice`, `amount`) and the books do not agree, by invoice."""
    booked = {row["invoice"]: Decimal(row["amount"]) for row in books}
    found: list[dict[str, Any]] = []
    for row in statement:
        paid, due = Decimal(row["amount"]), booked.get(row["invoice"])
        if paid != due:
            found.append(
                {
                    "invoice": row["invoice"],
                    "paid": str(paid),
                    "booked": None if due is None else str(due),
                }
            )
    return found
