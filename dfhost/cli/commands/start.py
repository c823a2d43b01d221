"""`dfhost start`: serve an app until it is told to stop, and show what happens meanwhile."""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from pathlib import Path
from urllib.parse import urlsplit

from dfhost.background_tasks import BackgroundTasks
from dfhost.cli import arguments
from dfhost.cli.client.host_address import url_file
from dfhost.cli.client.other_task_hubs import unfinished_in
from dfhost.cli.console.console import Console
from dfhost.cli.console.log_file import LogFile, log_file
from dfhost.cli.host.database_file import database_file, url_files
from dfhost.cli.host.early_refusal import check_can_start
from dfhost.cli.host.runner_choice import MakeRunner, app_runner, checks_histories, reloads
from dfhost.cli.host.stopping import FatalFailure, StopSignals
from dfhost.cli.progress.maps import show_map_progress
from dfhost.cli.style import count
from dfhost.errors import DatabaseError, DatabaseInUse
from dfhost.garbage import pause_collector, resume_collector
from dfhost.runner.app_runner import AppRunner
from dfhost.runtime_status import FINAL_STATUSES
from dfhost.settings import Settings, set_environment_defaults
from dfhost.settings.app_folder import open_folder, working_in
from dfhost.settings.model import DEFAULT_PORT

DESCRIPTION = """\
Serve the function app in a folder, as `func start` does, until ctrl-C. All state is kept in one SQLite file:
after a stop or a crash, running instances continue at the next start.

examples:
  dfhost start                              the app in this folder, on http://localhost:7071
  dfhost start ../shop --port 8080 --memory another app, with nothing kept on disk
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "folder", nargs="?", type=Path, default=Path(), help="the app's folder (default: here)"
    )
    parser.add_argument(
        "--port",
        "-p",
        type=arguments.port,
        help="default: Host.LocalHttpPort of local.settings.json, or 7071",
    )
    parser.add_argument(
        "--address", help="the IP address to listen on (default: 127.0.0.1; 0.0.0.0: every network)"
    )
    parser.add_argument(
        "--allow-host",
        metavar="NAME",
        action="append",
        default=[],
        help="a further name by which clients reach this host, as of a tunnel or a container; may be repeated",
    )
    parser.add_argument("--no-dashboard", action="store_true", help="serve no page at /dashboard")
    arguments.add_database(parser, "default: .dfhost/HUB.db in the folder")
    arguments.add_replay(parser)
    arguments.add_workers(parser, debug=True)
    arguments.add_reload(parser)
    arguments.add_verbosity(parser, quiet="show only failures, warnings and what is printed")


def run(options: argparse.Namespace) -> int:
    """0 after a clean stop. Raises HostError. A second signal ends the process here with 128 + its number."""
    root, settings = open_folder(options.folder, replay_always=options.replay == "always")
    database = database_file(options, root, settings)
    port = options.port if options.port is not None else settings.port or DEFAULT_PORT
    address = options.address or settings.address or "127.0.0.1"
    try:
        check_can_start(database, address, port)
    except DatabaseInUse as error:
        raise _with_address(error, database, port) from None
    set_environment_defaults(
        {"WEBSITE_HOSTNAME": f"localhost:{port}", "ASPNETCORE_URLS": f"http://localhost:{port}"}
    )
    task_hub_place = _task_hub_place(database)
    notes = [*settings.notes, *_other_task_hubs(options, database)]
    kept = LogFile(log_file(database)) if database is not None else None
    console = Console(sys.stdout, verbose=options.verbose, calls=not options.quiet, log_file=kept)
    with console, app_runner(options, root, settings, console) as make_runner, working_in(root):
        try:
            asyncio.run(
                _serve(
                    make_runner,
                    root,
                    settings,
                    database,
                    task_hub_place,
                    port,
                    address,
                    options,
                    console,
                    notes,
                )
            )
        except DatabaseInUse as error:
            raise _with_address(error, database, port) from None
    return 0


async def _serve(
    make_runner: MakeRunner,
    root: Path,
    settings: Settings,
    database: Path | None,
    task_hub_place: str,
    port: int,
    address: str,
    options: argparse.Namespace,
    console: Console,
    notes: Sequence[str],
) -> None:
    stop_signals = StopSignals()
    failure, tasks = FatalFailure(), BackgroundTasks()
    files_with_url: list[Path] = []
    pause_collector()
    started_at = time.time()
    runner = make_runner(console, failure.report)  # workers load the app while the host is imported
    # By far the slowest imports: mistakes in the settings are reported before them, and ctrl-C already works.
    from dfhost.cli.views.function_listing import function_listing
    from dfhost.host import Host

    def on_ready(host: Host) -> None:
        resume_collector()
        console.set_name_width(max((len(function.name) for function in host.app.functions), default=0))
        console.write(
            function_listing(
                host.app,
                host.url,
                settings.route_prefix,
                task_hub_place,
                console.style,
                host.next_timer_runs,
            )
        )
        for note in (*notes, *host.notes):
            console.note(note)
        if address in ("0.0.0.0", "::"):
            console.note(
                f"Listening at {address}: everybody who reaches this machine may call the app and its management "
                "API without a key. Requests may name it by its IP addresses and its own name; allow other names "
                "with --allow-host."
            )
        if console.verbose and settings.without_effect:
            console.note(
                f"These settings of host.json make no difference in dfhost: {', '.join(settings.without_effect)}."
            )
        if host.unfinished_at_start:
            console.instances_go_on(host.hub.open_instance_ids())
        stop_signals.host_is_ready(host.release_running_calls)
        files_with_url.extend(url_files(root, database, host.url))
        for file in files_with_url:
            with suppress(OSError):  # on a full disk the commands have to be told the port
                file.write_text(host.url, "utf-8")
        dashboard = "" if options.no_dashboard else f" Dashboard: {host.url}/dashboard."
        console.print("", f"Ready on {host.url}.{dashboard} Ctrl-C stops the host.")
        if host.interrupted_calls_note:
            console.note(host.interrupted_calls_note)
            console.flush()  # it may happen again at once

    async with Host(
        runner,
        settings=settings,
        database=database,
        port=port,
        address=address,
        host_names=options.allow_host,
        log=console,
        on_failure=failure.report,
        on_ready=on_ready,
        dashboard=not options.no_dashboard,
        check_histories=checks_histories(options),
    ) as host:
        if not options.quiet:
            tasks.start(show_map_progress(host, console))
        with _reloading(options, root, settings, runner, console, started_at):
            await failure.watch(stop_signals.wait())
        tasks.cancel()
        calls = await asyncio.to_thread(console.running_calls)
        if running := ", ".join(f"{name} ({number})" for name, number in calls.items()):
            console.print("", f"Waiting for running calls: {running}. Press ctrl-C again to stop at once.")
        await failure.watch(host.finish())
        counts = (await host.hub.overview(limit=0)).counts if database is not None else {}
    unfinished = sum(number for status, number in counts.items() if status not in FINAL_STATUSES)
    for file in files_with_url:
        file.unlink(missing_ok=True)
    console.flush_summaries()
    console.print(
        "", "Stopped." + (" Unfinished instances continue at the next start." if unfinished else "")
    )


def _reloading(
    options: argparse.Namespace,
    root: Path,
    settings: Settings,
    runner: AppRunner,
    console: Console,
    since: float,
) -> AbstractContextManager[None]:
    if not reloads(options):
        return nullcontext()
    from dfhost.cli.host.reload import reloading

    return reloading(options, root, settings, runner, console, since)


def _other_task_hubs(options: argparse.Namespace, database: Path | None) -> Iterator[str]:
    """Notes about what was left in other task hubs of this app, if its own is new: hubName has changed, maybe."""
    if database is None or options.db or database.exists():
        return
    for file, number in unfinished_in(database.parent):
        yield (
            f"The task hub {database.stem} is new, and {file} has {count(number, 'unfinished instance')}. "
            f"To continue there, set hubName in host.json to {Path(file).stem}."
        )


def _with_address(error: DatabaseInUse, database: Path | None, port: int) -> DatabaseError:
    """With the address of the host that uses the file, if it is known."""
    url = ""
    if database is not None:
        with suppress(OSError):
            url = url_file(database).read_text("utf-8").strip()
    if not url:
        return error
    other_port = " This one needs a --port of its own, too." if urlsplit(url).port == port else ""
    return DatabaseError(f"{error} The other host is at {url}.{other_port}")


def _task_hub_place(database: Path | None) -> str:
    """Where the task hub is, for a reader in the present folder: relative where that is shorter."""
    if database is None:
        return "memory: nothing outlives this process"
    try:
        return os.path.relpath(database) if database.is_relative_to(Path.cwd()) else str(database)
    except ValueError:  # another drive
        return str(database)
