"""JSON in, JSON out, and what to say when the request is not what was asked for.

A request that cannot be understood is a `BadRequest`: one sentence and, where it has one, the field it is
about. `refusal` turns it into the answer. Knows nothing of orchestrations.
"""

from __future__ import annotations

import json
from collections.abc import Collection
from typing import Any, NoReturn

import azure.functions as func


class BadRequest(Exception):
    """What is wrong with the request, as a sentence for its sender; `status` is the HTTP status."""

    def __init__(self, sentence: str, field: str | None = None, status: int = 400) -> None:
        super().__init__(sentence)
        self.field = field
        self.status = status


def answer(payload: Any, status: int = 200, headers: dict[str, str] | None = None) -> func.HttpResponse:
    """`payload` as an application/json response."""
    return func.HttpResponse(
        json.dumps(payload), status_code=status, headers=headers, mimetype="application/json"
    )


def refusal(error: BadRequest) -> func.HttpResponse:
    """`{"error": sentence, "field": name}`; `field` only where the sentence is about one."""
    payload = {"error": str(error)} | ({"field": error.field} if error.field else {})
    return answer(payload, error.status)


def body_object(request: func.HttpRequest, fields: Collection[str]) -> dict[str, Any]:
    """The body as a dict whose keys are all in `fields`; no body at all is `{}`. Raises BadRequest."""
    raw = request.get_body()
    if not raw.strip():
        return {}
    try:
        body = json.loads(raw, parse_constant=no_constant)
    except (ValueError, RecursionError) as error:
        raise BadRequest(f"The body is not JSON: {error}.") from None
    if not isinstance(body, dict):
        raise BadRequest(f"The body must be a JSON object, not {kind(body)}.")
    for name in body:
        if name not in fields:
            raise BadRequest(f"There is no field {name!r}; the fields are {_listed(fields)}.", name)
    return body


def strings(body: dict[str, Any], field: str, default: list[str]) -> list[str]:
    """`body[field]`, which must be a list of strings; `default` where it is absent. Raises BadRequest."""
    value = body.get(field, default)
    if not isinstance(value, list):
        raise BadRequest(f"{field!r} must be a list of strings, not {kind(value)}.", field)
    for index, element in enumerate(value):
        if not isinstance(element, str):
            raise BadRequest(
                f"{field!r} must be a list of strings; element {index} is {kind(element)}.", field
            )
    return value


def kind(value: Any) -> str:
    """What JSON calls the value, with its article: `a number`, `an object`, `null`."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "a boolean"
    if isinstance(value, (int, float)):
        return "a number"
    if isinstance(value, str):
        return "a string"
    return "a list" if isinstance(value, list) else "an object"


def no_constant(name: str) -> NoReturn:
    """For `json.loads`, which else reads NaN and Infinity: the durable extension would turn them into strings."""
    raise ValueError(f"{name} is not a JSON value")


def _listed(fields: Collection[str]) -> str:
    return ", ".join(repr(field) for field in fields)
