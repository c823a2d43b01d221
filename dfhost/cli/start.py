"""`dfhost start`: serve an app until somebody says stop, and tell what happens meanwhile."""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from pathlib import Path

from dfhost.cli import gc_tuning
from dfhost.cli.app_folder import database_file, open_folder, working_in
from dfhost.cli.app_output import AppOutput, app_log_level
from dfhost.cli.console import Console
from dfhost.cli.database_failure import DatabaseFailure
from dfhost.cli.signals import StopSignals
from dfhost.settings import Settings, enter_environment

DEFAULT_PORT = 7071


def start(options: argparse.Namespace) -> int:
    """0 after a clean stop. Raises HostError. Told to stop twice, the process ends here with 128 + signal."""
    root, settings = open_folder(options.folder)
    database = database_file(options, root, settings)
    port = options.port if options.port is not None else settings.port or DEFAULT_PORT
    address = options.address or settings.address or "127.0.0.1"
    enter_environment({"WEBSITE_HOSTNAME": f"localhost:{port}"})
    place = _place(database)
    console = Console(sys.stdout, verbose=options.verbose, calls=not options.quiet)
    said = AppOutput(console, app_log_level(settings.log_levels, options.verbose, options.quiet))
    with console, said, working_in(root):
        asyncio.run(_serve(root, settings, database, place, port, address, console))
    return 0


async def _serve(
    root: Path,
    settings: Settings,
    database: Path | None,
    place: str,
    port: int,
    address: str,
    console: Console,
) -> None:
    stop = StopSignals()
    broken = DatabaseFailure()
    gc_tuning.pause()
    # By far the slowest imports: mistakes in the settings are told before them, and ctrl-C is heard.
    from dfhost.cli.function_listing import function_listing
    from dfhost.host import Host

    def ready(host: Host) -> None:
        gc_tuning.resume()
        console.name_width(max((len(function.name) for function in host.app.functions), default=0))
        console.write(function_listing(host.app, host.url, settings.route_prefix, place, console.style))
        for note in (*settings.notes, *host.notes):
            console.note(note)
        if console.verbose and settings.without_effect:
            console.note(f"Without effect here (host.json): {', '.join(settings.without_effect)}.")
        stop.serving()
        console.say("", f"Ready on {host.url}. Ctrl-C stops the host.")

    async with Host(
        root,
        settings=settings,
        database=database,
        port=port,
        address=address,
        log=console,
        on_failure=broken.happened,
        on_ready=ready,
    ) as host:
        await broken.unless(stop.asked())
        calls = await asyncio.to_thread(console.running)
        if running := ", ".join(f"{name} ({number})" for name, number in calls.items()):
            console.say("", f"Finishing what runs: {running}. Press ctrl-C again to leave at once.")
        await broken.unless(host.drain())
    console.settle()
    console.say("", "Stopped." + (" What is not finished goes on at the next start." if database else ""))


def _place(database: Path | None) -> str:
    """Where the task hub is, for a reader in the present folder: relative where that is shorter."""
    if database is None:
        return "memory: nothing outlives this process"
    try:
        return os.path.relpath(database) if database.is_relative_to(Path.cwd()) else str(database)
    except ValueError:  # another drive
        return str(database)
