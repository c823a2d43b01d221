"""Ask a deployed app for one run of the recipe, and say whether the five results came back.

Owns the wait for a host that has only just been deployed, and the way to its key. Leaves the full suite to
`make e2e`. Needs nothing but Python: azd runs it after every deployment (azure.yaml), where nothing of this
repository is installed.

    python scripts/smoke.py                          after `azd up`: azd hands over the address
    python scripts/smoke.py http://localhost:7071    any other host; FUNCTIONS_KEY if it wants one

Exit code 0 when the run is Completed with the right results, 1 otherwise, 2 when it was called wrongly.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

EXPECTED = [f"Processed item-{number}" for number in range(1, 6)]
TERMINAL = {"Completed", "Failed", "Terminated", "Canceled"}
# What a host says while it starts, fetches its package, lists its functions, or makes its first keys.
NOT_YET = {401, 403, 404, 408, 429, 500, 502, 503, 504}
KEYS_API_VERSION = "2024-11-01"


class SmokeError(Exception):
    """The app did not do what it should; the text says what happened."""


class Reply(NamedTuple):
    status: int
    body: bytes

    def json(self) -> Any:
        """The body as JSON; SmokeError when it is none, for instance a proxy's error page."""
        try:
            return json.loads(self.body)
        except ValueError:
            raise SmokeError(f"The answer ({self.status}) is not JSON: {self.body[:200]!r}") from None


def request(method: str, url: str, headers: Mapping[str, str] | None = None) -> Reply:
    """One HTTP exchange. Any status is a reply; only a host that cannot be reached raises (OSError)."""
    call = urllib.request.Request(url, method=method, headers=dict(headers or {}))
    if method == "POST":
        call.data = b""
    try:
        with urllib.request.urlopen(call, timeout=60) as answer:
            return Reply(answer.status, answer.read())
    except urllib.error.HTTPError as error:
        with error:
            return Reply(error.code, error.read())


def until(deadline: float, pause: float, attempt: Callable[[], Reply], wanted: int, doing: str) -> Reply:
    """Repeat `attempt` until it gives `wanted`; SmokeError past `deadline`, or if waiting cannot mend the answer."""
    last = ""
    while True:
        try:
            reply = attempt()
        except OSError as error:
            seen = f"it cannot be reached ({getattr(error, 'reason', error)})"
        else:
            if reply.status == wanted:
                return reply
            seen = f"it answers {reply.status}"
            if reply.status not in NOT_YET:
                raise SmokeError(f"{doing}: {seen}: {reply.body[:500].decode(errors='replace')}")
        if time.monotonic() + pause > deadline:
            raise SmokeError(f"{doing}: time is up and {seen}.")
        if seen != last:
            print(f"{doing}: {seen}, trying again ...", flush=True)
            last = seen
        time.sleep(pause)


def access_token(resource_manager: str) -> str:
    """A token for Azure Resource Manager from whichever of azd and az is signed in."""
    scope = f"{resource_manager.rstrip('/')}/.default"
    for tool, arguments, field in (
        ("azd", ["auth", "token", "--scope", scope, "--output", "json"], "token"),
        ("az", ["account", "get-access-token", "--scope", scope, "--output", "json"], "accessToken"),
    ):
        program = shutil.which(tool)
        if program is None:
            continue
        run = subprocess.run([program, *arguments], capture_output=True, text=True, check=False)
        if run.returncode == 0:
            return str(json.loads(run.stdout)[field])
    raise SmokeError("Neither azd nor az is signed in: azd auth login, or set FUNCTIONS_KEY.")


def deployed_key(env: Mapping[str, str], deadline: float, pause: float) -> str:
    """The app's host key, asked of Azure Resource Manager with the caller's own rights."""
    manager, app = env["AZURE_RESOURCE_MANAGER_URL"], env["AZURE_FUNCTION_APP_ID"]
    headers = {"Authorization": f"Bearer {access_token(manager)}"}
    url = f"{manager.rstrip('/')}{app}/host/default/listkeys?api-version={KEYS_API_VERSION}"
    reply = until(deadline, pause, lambda: request("POST", url, headers), 200, "Asking for the function key")
    name = env.get("FUNCTION_KEY_NAME", "default")
    key = reply.json().get("functionKeys", {}).get(name)
    if not key:
        raise SmokeError(f"The app has no function key named {name}.")
    return str(key)


def run_recipe(base_url: str, key: str, deadline: float, pause: float) -> Any:
    """Start the recipe, follow it to its end, give back its status document."""
    headers = {"x-functions-key": key} if key else {}
    start = f"{base_url}/api/start-fanout"
    started = until(
        deadline, pause, lambda: request("POST", start, headers), 202, "Starting the recipe"
    ).json()
    if key and (open_to_all := request("POST", start)).status not in (401, 403):
        raise SmokeError(
            f"The starter answers {open_to_all.status} to a caller without a key; it must refuse."
        )
    status_url = started["statusQueryGetUri"]
    while True:
        # Not through until(): 202 is progress here, and the address carries a key that no message may show.
        try:
            reply = request("GET", status_url)
        except OSError:
            status = {"runtimeStatus": "out of reach"}
        else:
            status = (
                reply.json()
                if reply.status in (200, 202)
                else {"runtimeStatus": f"hidden behind {reply.status}"}
            )
        if status["runtimeStatus"] in TERMINAL:
            return status
        if time.monotonic() + pause > deadline:
            raise SmokeError(f"The run {started['id']} is still {status['runtimeStatus']} and time is up.")
        time.sleep(pause)


def main(arguments: list[str], env: Mapping[str, str]) -> int:
    parser = argparse.ArgumentParser(description="One run of the recipe against a deployed app.")
    parser.add_argument("base_url", nargs="?", default=env.get("BASE_URL") or env.get("SERVICE_API_URI"))
    parser.add_argument("--timeout", type=float, default=600, help="seconds for everything (default 600)")
    parser.add_argument("--pause", type=float, default=5, help="seconds between two questions (default 5)")
    options = parser.parse_args(arguments)
    if not options.base_url:
        parser.error("no address: pass it, set BASE_URL, or run it from azd")
    base_url = options.base_url.rstrip("/")
    begun = time.monotonic()
    deadline = begun + options.timeout
    try:
        key = env.get("FUNCTIONS_KEY", "")
        if (
            not key
            and env.get("AZURE_FUNCTION_APP_ID")
            and base_url == env.get("SERVICE_API_URI", "").rstrip("/")
        ):
            key = deployed_key(env, deadline, options.pause)
        status = run_recipe(base_url, key, deadline, options.pause)
        if status["runtimeStatus"] != "Completed" or status["output"] != EXPECTED:
            raise SmokeError(f"The run ended {status['runtimeStatus']} with {json.dumps(status['output'])}.")
    except (SmokeError, OSError) as error:
        print(f"Smoke test failed at {base_url}: {error}", file=sys.stderr)
        return 1
    print(json.dumps(status["output"], indent=2))
    print(f"Smoke test passed at {base_url} in {time.monotonic() - begun:.1f} s.")
    if command := env.get("FUNCTION_KEY_COMMAND"):
        print(f'The whole suite: make e2e BASE_URL={base_url} FUNCTIONS_KEY="$({command})"')
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], os.environ))
