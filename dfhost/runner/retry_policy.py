"""Retry policies of functions (`@app.retry`): how often the host runs a call again that has failed, and when. Pure.

This is the policy of the Functions host, for one call of one function. The retries that an orchestrator asks for
(`call_activity_with_retry`) are the task hub's, and each of their attempts may be repeated by this policy.
"""

from __future__ import annotations

import random
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

_JITTER = 0.2  # of each exponential increase, up or down (RandomizedExponentialBackoffStrategy)
_WITHOUT_LIMIT = -1


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """`max_retry_count`: retries after the first attempt, -1 for any number. Intervals are seconds.

    `maximum` None: a fixed delay of `minimum`. Else exponential: the minimum first, and then more, up to the maximum.
    """

    max_retry_count: int
    minimum: float
    maximum: float | None = None

    @property
    def max_attempts(self) -> int | None:
        """None for any number."""
        return None if self.max_retry_count == _WITHOUT_LIMIT else self.max_retry_count + 1

    def delays(self) -> Iterator[float]:
        """The seconds to wait before each retry."""
        retry = 0
        while self.max_retry_count == _WITHOUT_LIMIT or retry < self.max_retry_count:
            yield self.minimum if self.maximum is None else min(self._backoff(retry), self.maximum)
            retry += 1

    def _backoff(self, retry: int) -> float:
        if retry == 0:
            return self.minimum
        growth = 2.0 ** min(retry - 1, 60)
        return self.minimum * (1 + random.uniform(1 - _JITTER, 1 + _JITTER) * growth)


def read_retry_policy(settings: Mapping[str, str]) -> RetryPolicy | None:
    """The policy in a function's `retry_policy` settings; None without one. ValueError with the reason.

    The worker reads intervals by `strptime`, so "5" is none.
    """
    if not settings:
        return None
    count, strategy = settings.get("max_retry_count"), settings.get("strategy")
    try:
        max_retry_count = int(count or "")
    except ValueError:
        raise ValueError(f"max_retry_count is {count!r}; it has to be a whole number") from None
    if max_retry_count < _WITHOUT_LIMIT:
        raise ValueError(f"max_retry_count is {count!r}; it has to be 0 or more, or -1 for no limit")
    if strategy == "fixed_delay":
        return RetryPolicy(max_retry_count, _seconds(settings, "delay_interval"))
    if strategy != "exponential_backoff":
        raise ValueError(f'strategy is {strategy!r}; it has to be "fixed_delay" or "exponential_backoff"')
    minimum, maximum = _seconds(settings, "minimum_interval"), _seconds(settings, "maximum_interval")
    if minimum > maximum:
        raise ValueError("minimum_interval is longer than maximum_interval")
    return RetryPolicy(max_retry_count, minimum, maximum)


def _seconds(settings: Mapping[str, str], name: str) -> float:
    text = settings.get(name)
    try:
        found = time.strptime(text or "", "%H:%M:%S")
    except ValueError:
        raise ValueError(f'{name} is {text!r}; it has to be hours, minutes and seconds: "00:00:10"') from None
    return float(found.tm_hour * 3600 + found.tm_min * 60 + found.tm_sec)
