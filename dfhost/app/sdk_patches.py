"""What dfhost replaces inside the SDK, for speed alone: caches for replays, and the HTTP session of its clients.

All of it is private to the SDK. Each patch looks first whether the SDK still has the form it was written for, and
leaves any other SDK as it is. No answer changes: `tests/app/test_sdk.py` and `tests/http/test_loopback.py`
compare them.
"""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Callable
from datetime import datetime
from functools import cache, lru_cache
from typing import Any

from azure.durable_functions.models.utils import http_utils

_TIMESTAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", re.ASCII)  # as `engine.history.timestamp`

# The names in the SDK's three HTTP functions, the members of aiohttp's session and response included.
_HTTP_NAMES = frozenset(
    "_get_session post get delete json status aiohttp ClientError asyncio TimeoutError _handle_request_error".split()
)


@cache
def install_replay_caches() -> None:
    """Let the SDK compute once what it computes anew in every replay.

    Its HistoryEvent parses each event's timestamp with dateutil, 30 to 60 us each: three quarters of a replay. And
    each replay defines the same namedtuple again, 150 us. Without both, two replays of 1,000 items take a third of
    the time, those of 5 items half. And each value that is written or read as JSON looks up an environment variable
    and makes an encoder or a decoder of its own; each takes as long as to write a short value.
    """
    _replace("durable_functions.models.history.HistoryEvent", "dt_parse", _cached_parser)
    _replace("durable_functions.models.TaskOrchestrationExecutor", "namedtuple", lru_cache(maxsize=16))
    _replace("functions._durable_functions", "_is_strict_mode", _cached_setting)
    _replace("functions._durable_functions", "json", _CachedCodecs)


def _replace(module_name: str, name: str, make_replacement: Callable[[Any], Any]) -> None:
    module: Any = sys.modules.get(f"azure.{module_name}")
    original = getattr(module, name, None)
    if original is not None:
        setattr(module, name, make_replacement(original))


def _cached_parser(parse: Callable[..., datetime]) -> Callable[..., datetime]:
    """`parse`, called once for each second: a timestamp of dfhost's is a whole second and its fraction."""
    parse_second = lru_cache(maxsize=4096)(parse)

    @lru_cache(maxsize=8192)  # the next replay, and the events of one episode, have the same texts
    def read_own(text: str) -> datetime | None:
        if not _TIMESTAMP.fullmatch(text):
            return None
        return parse_second(f"{text[:19]}Z").replace(microsecond=int(text[20:26]))

    def read(text: Any, *more: Any, **options: Any) -> datetime:
        own = None if more or options or type(text) is not str else read_own(text)
        return parse(text, *more, **options) if own is None else own

    return read


def _cached_setting(read: Callable[[], bool]) -> Callable[[], bool]:
    """`read`, called again when the environment variable that it reads has changed."""
    variable = sys.modules[read.__module__].__dict__.get("_STRICT_ENV_VAR")
    encoded: Any = getattr(os.environ, "_data", None)  # what `os.environ` encodes and decodes at each look
    if not isinstance(variable, str) or not isinstance(encoded, dict) or not hasattr(os.environ, "encodekey"):
        return read
    key = os.environ.encodekey(variable)
    known: tuple[Any, bool] = (object(), False)

    def read_if_changed() -> bool:
        nonlocal known
        value = encoded.get(key)
        before, setting = known
        if value is not before:
            setting = read()
            known = value, setting
        return setting

    return read_if_changed


class _CachedCodecs:
    """The module `json`, for a user with few hooks: it makes one encoder or decoder for each."""

    def __init__(self, module: Any) -> None:
        self._module = module
        self._encoder = lru_cache(maxsize=16)(lambda hook: json.JSONEncoder(default=hook))
        self._decoder = lru_cache(maxsize=16)(lambda hook: json.JSONDecoder(object_hook=hook))

    def dumps(self, value: Any, *, default: Any = None, **options: Any) -> str:
        text: str = (
            self._module.dumps(value, default=default, **options)
            if options
            else self._encoder(default).encode(value)
        )
        return text

    def loads(self, text: Any, *, object_hook: Any = None, **options: Any) -> Any:
        if options or type(text) is not str or text.startswith("\ufeff"):
            return self._module.loads(text, object_hook=object_hook, **options)
        return self._decoder(object_hook).decode(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._module, name)


def wrap_client_session(wrap: Callable[[Any], Any]) -> Callable[[], None]:
    """Let the SDK's clients use `wrap(session)` instead of the HTTP session that they share.

    Returns a function that undoes it. `wrap` is called once for each session, on the session's loop. An SDK that
    uses more of a session than post, get and delete, or more of a response than status and json, is left alone.
    """
    names = {name for verb in ("post", "get", "delete") for name in _names_in(f"{verb}_async_request")}
    original = getattr(http_utils, "_get_session", None)
    if original is None or not names <= _HTTP_NAMES:
        return lambda: None
    active = True
    latest: tuple[Any, Any] = (None, None)  # a session and what wraps it

    async def get_session() -> Any:
        nonlocal latest
        session = await original()
        if not active:
            return session
        wrapped_session, wrapper = latest
        if wrapped_session is not session:
            wrapper = wrap(session)
            latest = session, wrapper
        return wrapper

    def unwrap() -> None:
        nonlocal active, latest, wrap
        # Another patch may have kept `get_session`, which must not keep the host alive.
        active, latest, wrap = False, (None, None), _identity
        if http_utils._get_session is get_session:
            http_utils._get_session = original

    http_utils._get_session = get_session
    return unwrap


def _identity(session: Any) -> Any:
    return session


def _names_in(function: str) -> tuple[str, ...]:
    code = getattr(getattr(http_utils, function, None), "__code__", None)
    return ("unknown",) if code is None else code.co_names


async def close_client_session() -> None:
    """Close the HTTP session that the SDK's clients share. Call this on the user loop, to which it belongs.

    The SDK itself closes it at the exit of the process, which is too late for a host inside another program.
    """
    close = getattr(http_utils, "_close_session", None)
    if close is not None:
        await close()
