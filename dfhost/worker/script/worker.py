"""What a worker's Python runs. It has a folder of its own, since Python puts that first on `sys.path`."""

import sys
from importlib.util import find_spec
from pathlib import Path

if (folder := str(Path(__file__).resolve().parent)) in sys.path:
    sys.path.remove(folder)
if find_spec("dfhost") is None:  # the host runs from a checkout that was not installed
    sys.path.append(str(Path(__file__).resolve().parents[3]))

from dfhost.worker.main import main

main()
