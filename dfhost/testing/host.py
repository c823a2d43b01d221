"""`Host`: a host under test without pytest. The fixture `durable` is one, too."""

from __future__ import annotations

from datetime import datetime, timezone
from pathlib import Path
from types import TracebackType

from dfhost.testing.apps import loaded_app
from dfhost.testing.durable import Durable
from dfhost.testing.local_host import LocalHost
from dfhost.testing.remote_host import RemoteHost

__tracebackhide__ = True  # pytest shows errors at the line of the test

#: The time at which a test begins.
START = datetime(2030, 1, 1, tzinfo=timezone.utc)


class Host:
    """Use as ``with Host("path/of/the/app") as durable``. Raises HostErrors for an app that cannot be loaded.

    `app`: the folder, or ``module:name`` as in "orders.main:app". `now`: the time at which the clock stands at first,
    UTC unless it has a time zone. `auto_advance`: see `Durable.auto_advance`. `timer_triggers`: whether the app's
    timer functions run on their schedules when the clock moves. `timeout`: real seconds until a test gives up on an
    app that keeps running. `port`: serve on this port as well, 0 for any free one; `durable.url` has
    the address. `url` and `key`: test the app that another host serves there, without faults and clock.
    """

    def __init__(
        self,
        app: str | Path = ".",
        *,
        now: datetime = START,
        auto_advance: bool = False,
        timer_triggers: bool = True,
        timeout: float = 30.0,
        port: int | None = None,
        url: str | None = None,
        key: str | None = None,
    ) -> None:
        self._app = app
        self._now = now
        self._auto_advance = auto_advance
        self._timer_triggers = timer_triggers
        self._timeout = timeout
        self._port = port
        self._url = url
        self._key = key

    def __enter__(self) -> Durable:
        self._host: LocalHost | RemoteHost
        if self._url:
            self._host = RemoteHost(self._url, self._key, self._timeout)
        else:
            app = loaded_app(self._app)
            self._host = LocalHost(
                app,
                now=self._now,
                timer_triggers=self._timer_triggers,
                timeout=self._timeout,
                port=self._port,
            )
        self._host.open()
        self._durable = Durable(self._host, auto_advance=self._auto_advance)
        return self._durable

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            if error is None:
                self._host.check()
                self._durable._warn_of_unmet_faults()
            elif isinstance(error, Exception) and hasattr(error, "add_note"):  # Python 3.11
                error.add_note(f"\nWhat happened:\n{self._durable.report(short=True)}")
        finally:
            self._host.close()
