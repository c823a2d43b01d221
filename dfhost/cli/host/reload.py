"""`dfhost start` loads the app again when its files have changed.

`source_watch` notices that, and the runner starts new workers. Here is decided what they are started with: the
settings files are read again, and the environment follows them. What only a new start of dfhost can follow is named.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from dfhost.cli.host.runner_choice import worker_options
from dfhost.cli.host.source_watch import SETTINGS_FILES, SourceWatch
from dfhost.errors import HostError
from dfhost.host_log import HostLog
from dfhost.runner.app_runner import AppRunner
from dfhost.settings import Settings
from dfhost.settings.app_folder import reread_settings
from dfhost.settings.jsonc import read_document
from dfhost.worker.runner import WorkerRunner

# What the host's parts are built with.
_UNTIL_NEXT_START = (
    "extensions.",
    "Values.AzureFunctionsJobHost__extensions__",
    "Values.AzureFunctionsJobHost:extensions:",
    "Host.",
    "Values.FUNCTIONS_WORKER_PROCESS_COUNT",
    "Values.WEBSITE_HOSTNAME",
)
_SHOWN = 3


@contextmanager
def reloading(
    options: argparse.Namespace,
    root: Path,
    settings: Settings,
    runner: AppRunner,
    log: HostLog,
    since: float,
) -> Iterator[None]:
    """Meanwhile changes lead to reloads. `since`: a `time.time()` before the workers were started."""
    assert isinstance(runner, WorkerRunner)
    reloader = _Reloader(options, root, settings, runner, log)
    watch = SourceWatch(root, since, reloader.files_changed)
    try:
        yield
    finally:
        watch.stop()


class _Reloader:
    def __init__(
        self, options: argparse.Namespace, root: Path, settings: Settings, runner: WorkerRunner, log: HostLog
    ) -> None:
        self._options = options
        self._root = root
        self._settings = settings
        self._values = self._values_at_start = _values(root)
        self._hub = settings.hub  # until dfhost is started again
        self._settings_texts: list[bytes | None] = []  # the first change may have come before this
        self._runner = runner
        self._log = log

    def files_changed(self, paths: Sequence[str]) -> None:
        if any(path in SETTINGS_FILES for path in paths):
            # An editor or a shell may empty a file before it writes it: that is noticed as two changes.
            texts_before, self._settings_texts = self._settings_texts, _settings_texts(self._root)
            if self._settings_texts == texts_before and all(path in SETTINGS_FILES for path in paths):
                return
            try:
                self._follow_settings()
            except HostError as error:
                self._log.note(f"The app goes on as it was: {error}")
                return
        verb = "has" if len(paths) == 1 else "have"
        self._log.note(f"{_listed(paths)} {verb} changed: the app is loaded again.")
        options = worker_options(self._options, self._root, self._settings)
        self._runner.reload(options, self._settings.function_timeout)

    def _follow_settings(self) -> None:
        before, self._settings = self._settings, reread_settings(self._root, self._settings)
        values_before, self._values = self._values, _values(self._root)
        # What was put back to that of the start is as the host's parts have it.
        earlier = (values_before, self._values_at_start)
        changed = [
            key
            for key in {**values_before, **self._values}
            if key.startswith(_UNTIL_NEXT_START)
            and all(values.get(key) != self._values.get(key) for values in earlier)
        ]
        notes = [note for note in self._settings.notes if note not in before.notes]
        if changed:
            notes.append(f"What has changed in {_listed(changed)} counts when dfhost is started again.")
        if self._settings.hub not in (before.hub, self._hub):
            notes.append(f"The task hub stays {self._hub} until dfhost is started again.")
        for note in notes:
            self._log.note(note)


def _settings_texts(root: Path) -> list[bytes | None]:
    """What is in the settings files; None for one that cannot be read."""
    texts: list[bytes | None] = []
    for name in SETTINGS_FILES:
        try:
            texts.append((root / name).read_bytes())
        except OSError:
            texts.append(None)
    return texts


def _values(root: Path) -> dict[str, object]:
    """What the settings files say, by key: {"extensions.http.routePrefix": "api", "Values.A": "b"}."""
    documents = (read_document(root / name) for name in SETTINGS_FILES)
    return {".".join(path): value for document in documents if document for path, value in document.leaves()}


def _listed(names: Sequence[str]) -> str:
    """ "a, b and c"; "a, b, c and 12 more"."""
    shown = [*names[:_SHOWN], f"{len(names) - _SHOWN} more"] if len(names) > _SHOWN + 1 else list(names)
    return f"{', '.join(shown[:-1])} and {shown[-1]}" if len(shown) > 1 else shown[0]
