"""What a worker's Python runs. It has a folder of its own, since Python puts that first on `sys.path`."""

import gc
import signal
import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path


def main() -> None:
    # The host ends the worker. What ctrl-C or a service manager sends to all processes is meant for the host.
    # Handlers, unlike ignored signals, are not inherited by the programs that the app starts.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: None)

    if (folder := str(Path(__file__).resolve().parent)) in sys.path:
        sys.path.remove(folder)
    gc.disable()  # what imports make stays; `resume_collector` begins again
    _import_dfhost_of_host()

    from dfhost.worker.main import main

    main()


def _import_dfhost_of_host() -> None:
    """The host may run from a checkout, and another dfhost be installed here, or none."""
    package = Path(__file__).resolve().parents[2]
    spec = spec_from_file_location(
        package.name, package / "__init__.py", submodule_search_locations=[str(package)]
    )
    assert spec is not None and spec.loader is not None
    sys.modules[spec.name] = module = module_from_spec(spec)
    spec.loader.exec_module(module)


if __name__ == "__main__":  # the processes that the app spawns by multiprocessing import this file, too
    main()
