"""An app's host.json and local.settings.json, read into a value that the host can use.

`jsonc` reads the files; `host_json` and `local_settings` know their forms; `reader` knows what each key means and
makes `model.Settings` of it. `app_folder` gives the process the app's environment. Nothing here writes a file.
"""

from dfhost.settings.app_settings import set_environment_defaults
from dfhost.settings.model import Settings
from dfhost.settings.reader import read_settings

__all__ = ["Settings", "read_settings", "set_environment_defaults"]
