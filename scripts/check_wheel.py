"""Install a wheel into an empty environment, and run an app with it there: `make package`.

The app is written by this script and lies outside the repository, so nothing but the wheel can be imported.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

APP = """
import azure.functions as func
import azure.durable_functions as df

app = df.DFApp(http_auth_level=func.AuthLevel.ANONYMOUS)

@app.route(route="start", methods=["POST"])
@app.durable_client_input(client_name="client")
async def start(req: func.HttpRequest, client) -> func.HttpResponse:
    id = await client.start_new("greet_all", client_input=req.get_json())
    return client.create_check_status_response(req, id)

@app.orchestration_trigger(context_name="context")
def greet_all(context):
    return (yield context.task_all([context.call_activity("greet", name) for name in context.get_input()]))

@app.activity_trigger(input_name="name")
def greet(name: str) -> str:
    return f"Hello {name}"
"""
HOST_JSON = '{"version": "2.0", "extensions": {"durableTask": {"hubName": "Wheel"}}}'


def main(wheel: Path) -> int:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        venv.create(folder / "venv", with_pip=True)
        programs = folder / "venv" / ("Scripts" if os.name == "nt" else "bin")
        run(programs / "python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check", wheel)
        app = folder / "app"
        app.mkdir()
        (app / "function_app.py").write_text(APP, encoding="utf-8")
        (app / "host.json").write_text(HOST_JSON, encoding="utf-8")
        output = run(programs / "dfhost", "run", "POST", "/api/start", "--data", '["a", "b"]', folder=app)
        if json.loads(output) != ["Hello a", "Hello b"]:
            raise SystemExit(f"dfhost run printed something else:\n{output}")
        typed = "import dfhost, pathlib; print(pathlib.Path(dfhost.__file__).with_name('py.typed').exists())"
        if run(programs / "python", "-c", typed, folder=app).strip() != "True":
            raise SystemExit("The wheel has no py.typed.")
        print(f"{wheel.name}: {run(programs / 'dfhost', '--version', folder=app).strip()}; it runs an app.")
    return 0


def run(*words: str | Path, folder: Path | None = None) -> str:
    """What the command prints; its errors go to this process's own."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    done = subprocess.run(
        list(map(str, words)), cwd=folder, env=clean, stdout=subprocess.PIPE, text=True, check=False
    )
    if done.returncode:
        raise SystemExit(f"{Path(words[0]).name} left with {done.returncode}:\n{done.stdout}")
    return done.stdout


if __name__ == "__main__":
    if len(sys.argv) != 2:
        raise SystemExit("usage: check_wheel.py dist/dfhost-….whl")
    sys.exit(main(Path(sys.argv[1]).resolve()))
