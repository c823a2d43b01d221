"""ASP.NET Core's route constraints: ``int``, ``length(2,5)``, ``regex(^a)`` and the others. Pure.

Each is a function of a segment's text. Numbers and dates are read as .NET reads them with the invariant culture,
as far as they can occur in a path.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime

Constraint = Callable[[str], bool]

_GUID = re.compile(
    r"[0-9a-f]{32}|\{H\}|\(H\)|H".replace("H", "[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"), re.IGNORECASE
)
_NUMBER = re.compile(r"\s*[+-]?(?:[\d,]+(?:\.\d*)?|\.\d+)(?P<exponent>[eE][+-]?\d+)?\s*")
_DATES = ("%Y-%m-%d", "%Y-%m", "%Y/%m/%d", "%m/%d/%Y", "%m-%d-%Y", "%d %b %Y", "%d %B %Y", "%B %d, %Y")
_TIMES = ("%H:%M:%S", "%H:%M", "%H:%M:%S.%f", "%I:%M:%S %p", "%I:%M %p", "%I:%M:%S%p", "%I:%M%p")
_DATE_TIMES = (
    *_DATES,
    *_TIMES,
    *(f"{date}{gap}{time}" for date in _DATES for gap in "T " for time in _TIMES),
)


def constraint(text: str) -> Constraint:
    """``"range(1,9)"`` -> a check. Raises ValueError with a sentence for a constraint that ASP.NET does not have."""
    name, bracket, rest = text.partition("(")
    if bracket and not rest.endswith(")"):
        raise ValueError(f"the constraint '{text}' lacks a closing bracket")
    argument = rest.removesuffix(")") if bracket else None
    if name == "regex":
        return _regex(text, argument)
    if argument is None and name in _PLAIN:
        return _PLAIN[name]
    make = _WITH_NUMBERS.get(name)
    if make is None and name not in _PLAIN:
        names = ", ".join(sorted([*_PLAIN, *_WITH_NUMBERS, "regex"]))
        raise ValueError(f"there is no constraint '{name}' (the constraints are {names})")
    try:
        numbers = [int(number) for number in (argument or "").split(",")]
        if make is None:
            raise ValueError
        return make(*numbers)
    except (ValueError, TypeError):
        raise ValueError(f"the constraint '{text}' has the wrong arguments") from None


def _regex(text: str, pattern: str | None) -> Constraint:
    if not pattern:
        raise ValueError(f"the constraint '{text}' needs a regular expression")
    try:
        # .NET writes (?<name>…) where Python writes (?P<name>…).
        compiled = re.compile(re.sub(r"\(\?<(?![=!])", "(?P<", pattern), re.IGNORECASE)
    except re.error as error:
        raise ValueError(f"the constraint '{text}' is not a regular expression: {error}") from None
    return lambda value: compiled.search(value) is not None


def _is_integer(value: str, bits: int) -> bool:
    if not re.fullmatch(r"\s*[+-]?\d+\s*", value, re.ASCII):
        return False
    return -(1 << bits - 1) <= int(value) < 1 << bits - 1


def _is_number(value: str, exponent: bool = True) -> bool:
    found = _NUMBER.fullmatch(value)
    if found is None:
        return exponent and value.strip() in ("NaN", "Infinity", "-Infinity", "∞", "-∞")
    return exponent or not found["exponent"]


def _is_date(value: str) -> bool:
    value = value.strip()
    try:
        datetime.fromisoformat(value.removesuffix("Z"))
        return not value.isdecimal()  # "20240102" is a date to Python only
    except ValueError:
        return any(_parses(value, form) for form in _DATE_TIMES)


def _parses(value: str, form: str) -> bool:
    try:
        datetime.strptime(value, form)
    except ValueError:
        return False
    return True


def _bounded(number: Callable[[str], int | None], low: int | None, high: int | None) -> Constraint:
    def check(value: str) -> bool:
        found = number(value)
        return found is not None and (low is None or found >= low) and (high is None or found <= high)

    return check


def _long(value: str) -> int | None:
    return int(value) if _is_integer(value, 64) else None


_PLAIN: dict[str, Constraint] = {
    "int": lambda value: _is_integer(value, 32),
    "long": lambda value: _is_integer(value, 64),
    "bool": lambda value: value.strip().lower() in ("true", "false"),
    "guid": lambda value: _GUID.fullmatch(value.strip()) is not None,
    "datetime": _is_date,
    "decimal": lambda value: _is_number(value, exponent=False),
    "double": _is_number,
    "float": _is_number,
    "alpha": lambda value: re.fullmatch("[a-z]*", value, re.IGNORECASE | re.ASCII) is not None,
    "required": bool,
    "file": lambda value: 0 < value.rpartition("/")[2].rfind(".") + 1 < len(value.rpartition("/")[2]),
    "nonfile": lambda value: not _PLAIN["file"](value),
}

_WITH_NUMBERS: dict[str, Callable[..., Constraint]] = {
    "minlength": lambda low: _bounded(len, low, None),
    "maxlength": lambda high: _bounded(len, None, high),
    "length": lambda low, high=None: _bounded(len, low, low if high is None else high),
    "min": lambda low: _bounded(_long, low, None),
    "max": lambda high: _bounded(_long, None, high),
    "range": lambda low, high: _bounded(_long, low, high),
}
