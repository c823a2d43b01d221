"""`dfhost explain ID`: asks a running host what an instance waits for, and prints the answer in words."""

from __future__ import annotations

import argparse
import json
import re
import sys
import urllib.error
import urllib.parse
import urllib.request
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from dfhost.cli import arguments
from dfhost.cli.style import count, duration, printable, printable_json
from dfhost.errors import HostError
from dfhost.settings.local_settings import read_local_settings
from dfhost.settings.model import DEFAULT_PORT

_KINDS = {"subOrchestration": "sub-orchestration"}
_OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # a proxy cannot reach a local host
_STATUS_URL = re.compile(r"(?P<host>https?://[^/]+)/.*?/instances/(?P<id>[^/?#]+)", re.IGNORECASE)
_LISTED = 12  # more waits of one kind than that are counted

DESCRIPTION = """\
Ask a running host what an instance waits for, since when, and what holds it up.

examples:
  dfhost explain 1f0c6a3e9b1d4f4f8d7c2a5b6e7f8091
  dfhost explain order-17 --url http://localhost:8080 --json
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("id", metavar="ID", help="the instance's id, or its status URL")
    parser.add_argument(
        "--url",
        type=arguments.url,
        help="the running host (default: on localhost, at Host.LocalHttpPort of local.settings.json here, or 7071)",
    )
    parser.add_argument("--json", action="store_true", help="print the host's answer as JSON")


def run(options: argparse.Namespace) -> int:
    """0 if the host explains it; 1 if it cannot; HostError if there is no host or no such instance."""
    instance_id = options.id
    if status_url := _STATUS_URL.match(options.id):
        url, instance_id = status_url["host"], urllib.parse.unquote(status_url["id"])
    elif options.id.lower().startswith(("http://", "https://")):
        raise HostError(f"{options.id} is not a status URL. A status URL contains /instances/ID.")
    else:
        url = options.url or _default_url()
    answer = _ask(url, instance_id)
    if options.json:
        print(printable_json(answer))
    elif "waitsFor" in answer:
        print("\n".join(map(printable, explanation_lines(answer, datetime.now(timezone.utc)))))
    else:
        status = answer.get("runtimeStatus")
        print(
            f"{printable(f'{instance_id} is {status}')}. The host at {url} does not explain why. Is it dfhost?",
            file=sys.stderr,
        )
        return 1
    return 0


def _default_url() -> str:
    """Where `dfhost start` listens if it is started in this folder."""
    port = read_local_settings(Path("local.settings.json")).port
    return f"http://localhost:{port or DEFAULT_PORT}"


def explanation_lines(answer: dict[str, Any], now: datetime) -> list[str]:
    """The lines for a host's answer (its shape: `TaskHub.explain`)."""
    # An entity has its id for a name.
    names = dict.fromkeys((answer["name"], answer["instanceId"]))
    lines = [f"{' '.join(names)} is {answer['runtimeStatus']}."]
    if answer.get("sentence"):
        lines.append(str(answer["sentence"]))
    waits: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for wait in answer.get("waitsFor") or []:
        what = f"{_KINDS.get(wait['kind'], wait['kind'])} {wait.get('name') or ''}".rstrip()
        waits.setdefault((what, wait.get("state") or ""), []).append(wait)
    if waits:
        lines.append("")
    for (what, state), group in waits.items():
        if len(group) > _LISTED:
            oldest = min(wait.get("since") or "" for wait in group)
            lines.append(f"  {what}, {state}: {count(len(group))} of them{_since(oldest, now, 'up to ')}")
            for wait in group:
                lines += _reason_lines(wait, "    ", f"{wait.get('instanceId')}: ")
        else:
            for wait in group:
                lines += [f"  {what}{_state(wait, now)}", *_reason_lines(wait, "    ")]
    if answer.get("heldBack"):
        lines += ["", "Held back, as on Azure, until the action before it has ended:"]
        lines += [f"  {held['action']} behind {held['behind']}: {held['why']}" for held in answer["heldBack"]]
    return lines


def _reason_lines(wait: dict[str, Any], indent: str, prefix: str = "") -> list[str]:
    """What the child or entity in `wait` waits for itself, each level below the one that waits for it."""
    explanation = wait.get("explanation")
    if not explanation:
        return []
    lines = [f"{indent}{prefix}{explanation['sentence']}"]
    several = sum("instanceId" in below for below in explanation["waitsFor"]) > 1
    for below in explanation["waitsFor"]:
        lines += _reason_lines(below, f"{indent}  ", f"{below.get('instanceId')}: " if several else "")
    return lines


def _state(wait: dict[str, Any], now: datetime) -> str:
    text = f" {wait['instanceId']}" if wait.get("instanceId") else ""
    text += f", {wait.get('status') or wait['state']}" if wait.get("state") else ""
    text += _since(wait.get("since"), now)
    if wait.get("due"):
        left = (_time(wait["due"]) - now).total_seconds()
        text += f", due in {duration(left)}" if left > 0 else ", due now"
    if wait.get("input") not in (None, ""):
        given = wait["input"]
        shown = given if isinstance(given, str) else json.dumps(given, ensure_ascii=False)
        text += f", input {shown if len(shown) <= 60 else shown[:59] + '…'}"
    return text


def _since(text: str | None, now: datetime, at_most: str = "") -> str:
    return f", for {at_most}{duration(max(0.0, (now - _time(text)).total_seconds()))}" if text else ""


def _time(text: str) -> datetime:
    """ISO 8601 as the host writes it; Python 3.10 knows neither Z nor seven digits of a second."""
    head, _, fraction = text.rstrip("Z").partition(".")
    digits = (fraction.split("+")[0] + "000000")[:6]
    return datetime.fromisoformat(f"{head.split('+')[0]}.{digits}").replace(tzinfo=timezone.utc)


def _ask(url: str, instance_id: str) -> dict[str, Any]:
    quoted = urllib.parse.quote(instance_id, safe="")
    address = f"{url}/runtime/webhooks/durabletask/instances/{quoted}?explain=true"
    try:
        with _OPENER.open(address, timeout=30) as response:
            answer = json.load(response)
    except urllib.error.HTTPError as error:
        if error.code == 404:
            raise HostError(
                f"The host at {url} has no instance '{instance_id}'. Is it on another host? See --url."
            ) from None
        raise HostError(f"The host at {url} answered {error.code} {error.reason}.") from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "reason", error)
        raise HostError(f"No host answers at {url} ({reason}). Start one with `dfhost start`.") from None
    if not isinstance(answer, dict):
        raise HostError(f"The server at {url} is not a durable host.")
    return answer
