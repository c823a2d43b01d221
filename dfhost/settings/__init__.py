"""What an app's host.json and local.settings.json say, as values the host can use.

`jsonc` reads the files, `hostjson` and `local` know their forms, `read` their meaning, `model` is the result.
Nothing here writes a file; only `enter_environment` touches the process.
"""

from dfhost.settings.local_settings import enter_environment
from dfhost.settings.model import Settings
from dfhost.settings.reader import read_settings

__all__ = ["Settings", "enter_environment", "read_settings"]
