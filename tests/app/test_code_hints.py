"""Mistakes that pass silently on Azure are named at the start, each with what to write."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from dfhost.app.code_hints import code_hints
from dfhost.app.loader import load_app
from tests.support.apps import load_written_app

HEAD = """
import asyncio, os, random, secrets, time, urllib.request, uuid
import datetime as dt
from datetime import datetime, timedelta, date
from random import randint
from uuid import uuid4

"""
ORCHESTRATOR = """
@app.orchestration_trigger(context_name="context")
def flow(context):
{body}

@app.activity_trigger(input_name="x")
def work(x: str) -> str:
    return str(datetime.now()) + str(uuid4()) + str(random.random())
"""
STARTER = """
@app.route(route="go")
@app.durable_client_input(client_name="client")
async def go(req: func.HttpRequest, client) -> func.HttpResponse:
{body}
"""


FLOW = ORCHESTRATOR.replace("{body}", "    return 1\n")


def hints(folder: Path, template: str, body: str) -> list[str]:
    indented = "".join(f"    {line}\n" for line in body.splitlines())
    return code_hints(load_written_app(folder, HEAD + template.replace("{body}", indented)).functions)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (
            "context.call_activity('work', 1)\nyield context.create_timer(1)",
            "context.call_activity without yield",
        ),
        ("task = context.call_activity('work', 1)\nreturn 1\nyield", "context.call_activity without yield"),
        ("return context.task_all([])\nyield", "return (yield context.task_all(…))"),
        ("a = datetime.now()\nyield a", "datetime.now() differs at each replay"),
        ("a = dt.datetime.utcnow()\nyield a", "context.current_utc_datetime"),
        ("a = date.today()\nyield a", "date.today() differs"),
        ("a = time.time()\nyield a", "context.current_utc_datetime.timestamp()"),
        (
            "time.sleep(5)\nyield 1",
            "time.sleep() holds up the host at each replay. Write yield context.create_timer(",
        ),
        ("a = uuid4()\nyield a", "context.new_uuid()"),
        ("a = uuid.uuid1()\nyield a", "context.new_uuid()"),
        ("a = randint(1, 6)\nyield a", "random.Random(context.instance_id)"),
        ("a = [random.choice(x) for x in context.get_input()]\nyield a", "random.choice() differs"),
        ("a = secrets.token_hex()\nyield a", "let an activity choose"),
        ("def inner():\n    return os.urandom(4)\nyield inner()", "os.urandom() differs"),
        (
            "a = urllib.request.urlopen('http://x')\nyield a",
            "urllib.request.urlopen() sends its request again",
        ),
        (
            "from urllib.request import urlopen\na = urlopen('http://x')\nyield a",
            "yield context.call_http(…).",
        ),
        (
            "open('log', 'a').write('x')\nyield 1",
            "open() writes the file again at each replay. Let an activity",
        ),
        (
            "with open('log', mode='wb') as file:\n    file.write(b'x')\nyield 1",
            "open() writes the file again",
        ),
        ("import random\na = random.random()\nyield a", "random.random() differs"),
        ("import random as r\na = r.choice([1])\nyield a", "r.choice() differs"),
        ("from uuid import uuid1 as new\na = new()\nyield a", "new() differs"),
        ("from datetime import datetime\na = datetime.now()\nyield a", "datetime.now() differs"),
        (
            "for name in {'a', 'b'}:\n    yield context.call_activity(name)",
            "order of the set {'a', 'b'} differs",
        ),
        ("for name in set(context.get_input()):\n    yield context.call_activity(name)", "Write sorted(set("),
        (
            "all = frozenset('ab')\nyield [context.call_activity(each) for each in all]",
            "of the set all differs",
        ),
        (
            "a = context.call_activity('work', 1)\nreturn 'got ' + str(a)",
            "context.call_activity without yield",
        ),
        (
            "tasks = [context.call_activity('work', n) for n in range(3)]\nfor task in tasks:\n    yield task",
            "the calls in 'tasks' run one after another",
        ),
        (
            "t = []\nfor n in 'ab':\n    t.append(context.call_sub_orchestrator(n))\n"
            "for n, each in zip('ab', t):\n    try:\n        a = yield each\n"
            "    except Exception:\n        print(len(t))",
            "yield context.task_all(t) before this loop",
        ),
    ],
)
def test_in_an_orchestrator(tmp_path: Path, body: str, said: str) -> None:
    (hint,) = hints(tmp_path, ORCHESTRATOR, body)
    assert said in hint
    assert re.match(r"flow \(function_app\.py, line \d+\): ", hint)
    line = int(re.search(r"line (\d+)", hint)[1])  # type: ignore[index]
    source = (tmp_path / "function_app.py").read_text().splitlines()[line - 1]
    assert source.strip() in body


@pytest.mark.parametrize(
    "body",
    [
        "a = yield context.call_activity('work', 1)\nreturn a",
        "task = context.call_activity('work', 1)\nreturn (yield task)",
        "tasks = [context.call_activity('work', n) for n in range(3)]\nreturn (yield context.task_all(tasks))",
        "context.signal_entity('x', 'y')\ncontext.set_custom_status(1)\nyield context.create_timer(1)",
        "a = random.Random(context.instance_id).random()\nyield a",
        "a = datetime(2026, 1, 1)\nb = datetime.fromisoformat('2026-01-01')\nyield a",
        "a = context.new_uuid()\nyield a",
        "random = context.get_input()\nrandom.choice()\nyield 1",
        "text = open('config.json').read()\ntext += open('more', encoding='utf-8').read()\nyield text",
        "text = open('config.json', 'rb').read()\nyield text",
        "request = urllib.request.Request('http://x')\nyield request",
        "import random\nrandom = random.Random(context.instance_id)\nyield random.choice([1])",
        "import random\ndef inner(random):\n    return random.choice([1])\nyield inner(context)",
        "import random\nyield random.Random(context.instance_id).choice([1])",
        "timer = context.create_timer(1)\nyield context.task_any([timer])\ntimer.cancel()",
        "for name in sorted({'a', 'b'}):\n    yield context.call_activity(name)",
        "all = {'a', 'b'}\nall = sorted(all)\nfor name in all:\n    yield context.call_activity(name)",
        "a = b = set()\na = b\nb = a\nfor name in a:\n    yield context.call_activity(name)",
        "for name in {'a', 'b'}:\n    print(name)\nyield context.call_activity('work')",
        "yield context.call_activity('work', [each for each in {1, 2}])",
        "a = context.call_activity('work', 1)\nreturn work(context, a)",
        "t = [context.call_activity('work', n) for n in 'ab']\ntry:\n    yield context.task_all(t)\n"
        "except Exception:\n    pass\nfor each in t:\n    yield each",
        "t = [context.call_activity('work', n) for n in 'ab']\nyield from work(t)\nfor each in t:\n    yield each",
        "t = [context.call_activity('work', 1)]\nfor each in t:\n    print(each)\nyield t[0]",
        "t = [context.wait_for_external_event(n) for n in 'ab']\nfor each in t:\n    yield each",
        "t = context.get_input()\nfor each in t:\n    yield context.call_activity(each)",
    ],
)
def test_code_without_mistakes(tmp_path: Path, body: str) -> None:
    assert hints(tmp_path, ORCHESTRATOR, body) == []


STAMPS = """
import clock_of_this_app
from clock_of_this_app import named

def stamp():
    return datetime.now().isoformat()

def twice():
    return "at " + stamp()

def thrice():
    return twice()

def four_times():
    return thrice()

def assigned(name):
    moment = dt.datetime.utcnow()
    text = f"{name} {moment}"
    return text

def by_default(now=None):
    now = now or datetime.now()
    return now

def by_condition(now=None):
    if now is None:
        now = datetime.now()
    return now

def early(now=None):
    if now:
        return now
    return datetime.now()

def branch(now=None):
    return now if now else datetime.now()

def branch_of_names(now=None):
    later = datetime.now()
    return now if now else later

def same_for_any(items):
    return count(items, datetime.now())

def count(items, now):
    return len(items)

def compared():
    return [each for each in (1, 2) if datetime.now() > datetime.min]

def nested(now=None):
    def inner():
        return datetime.now()
    return now or inner()

def made():
    return dict(id=str(uuid4()))

def logs(text):
    print(datetime.now(), text)
    return text

def generator():
    yield datetime.now()
    return datetime.now()

def later():
    return lambda: datetime.now()

def cached_text(cache={}):
    return cache.get("x")

import functools
@functools.lru_cache
def remembered():
    return uuid4()

def decorated(code):
    @functools.wraps(code)
    def wrapper():
        return "same"
    return wrapper

@decorated
def same():
    return uuid4()
"""
CLOCK = "import uuid\n\ndef named(name):\n    return f'{name}-{uuid.uuid4()}'\n"


def stamp_hints(folder: Path, body: str) -> list[str]:
    (folder / "clock_of_this_app.py").write_text(CLOCK)
    return hints(folder, STAMPS + ORCHESTRATOR, body)


@pytest.mark.parametrize(
    ("call", "said"),
    [
        ("stamp()", "stamp() returns what datetime.now() gives (function_app.py, line "),
        ("twice()", "twice() returns what datetime.now() gives (function_app.py, line "),
        ("assigned('a')", "assigned() returns what dt.datetime.utcnow() gives (function_app.py, line "),
        (
            "named('a')",
            "named() returns what uuid.uuid4() gives (clock_of_this_app.py, line 4), which differs at",
        ),
        (
            "clock_of_this_app.named('a')",
            "clock_of_this_app.named() returns what uuid.uuid4() gives (clock_of",
        ),
    ],
)
def test_a_function_of_the_app_that_returns_what_differs(tmp_path: Path, call: str, said: str) -> None:
    (hint,) = stamp_hints(tmp_path, f"yield context.call_activity('work', {call})")
    place, _, sentence = hint.partition(": ")
    assert sentence.startswith(said)
    assert re.search(
        r", which differs at each replay, which can fail the orchestration\. Write context\.\w+(\(\))?\.$",
        hint,
    )
    line = int(place.removeprefix("flow (function_app.py, line ").removesuffix(")"))
    assert call in (tmp_path / "function_app.py").read_text().splitlines()[line - 1]


@pytest.mark.parametrize(
    "call",
    [
        "four_times()",
        "by_default()",
        "by_condition()",
        "early()",
        "branch()",
        "branch_of_names()",
        "same_for_any([])",
        "compared()",
        "nested()",
        "logs('a')",
        "list(generator())",
        "later()",
        "cached_text()",
        "remembered()",
        "same()",
        "work('a')",
        "datetime.fromisoformat('2030-01-01')",
    ],
)
def test_a_function_of_the_app_that_may_return_the_same(tmp_path: Path, call: str) -> None:
    assert stamp_hints(tmp_path, f"stamp()\nyield context.call_activity('work', {call})") == []


@pytest.mark.parametrize("library", ["requests", "httpx"])
def test_a_request_by_a_library(tmp_path: Path, library: str) -> None:
    pytest.importorskip(library)
    sent = f"a = {library}.get('http://x')\nb = {library}.Request('GET', 'http://x')\nyield a, b"
    (hint,) = hints(tmp_path, f"import {library}\n{ORCHESTRATOR}", sent)
    (same,) = hints(tmp_path, ORCHESTRATOR, f"import {library}\n{sent}")
    for each in (hint, same):
        assert f"{library}.get() sends its request again at each replay, and the answer may differ" in each


NAMES = (
    ORCHESTRATOR
    + """
@app.activity_trigger(input_name="x", activity="Charge")
def charge_card(x: str) -> str:
    return x

@app.entity_trigger(context_name="context")
def till(context):
    pass
"""
)


@pytest.mark.parametrize(
    ("call", "said"),
    [
        ("call_activity('wrok', 1)", "the app has no activity 'wrok'. Did you mean 'work'?"),
        ("call_activity(name='wrok')", "the app has no activity 'wrok'. Did you mean 'work'?"),
        (
            "call_activity_with_retry('chrage', None)",
            "the app has no activity 'chrage'. Did you mean 'Charge'?",
        ),
        (
            "call_activity('charge_card')",
            "the app has no activity 'charge_card'. charge_card is called 'Charge'.",
        ),
        ("call_activity('flow')", "the app has no activity 'flow'. flow is of the kind orchestrator."),
        ("call_sub_orchestrator('flows')", "the app has no orchestrator 'flows'. Did you mean 'flow'?"),
        ("call_sub_orchestrator_with_retry('nothing', None)", "the app has no orchestrator 'nothing'."),
        (
            "call_entity(df.EntityId('tills', 'a'), 'add')",
            "the app has no entity 'tills'. Did you mean 'till'?",
        ),
        ("call_entity(df.EntityId(name='x', key='a'), 'add')", "the app has no entity 'x'."),
        ("task_all([context.call_activity('wrok', n) for n in 'ab'])", "the app has no activity 'wrok'. Did"),
    ],
)
def test_a_name_that_the_app_does_not_have(tmp_path: Path, call: str, said: str) -> None:
    (hint,) = hints(tmp_path, NAMES, f"yield context.{call}")
    place, _, sentence = hint.partition(": ")
    assert sentence.startswith(said) and (sentence == said or said.endswith("Did"))
    line = int(place.removeprefix("flow (function_app.py, line ").removesuffix(")"))
    assert call in (tmp_path / "function_app.py").read_text().splitlines()[line - 1]


def test_a_signal_to_an_entity_that_the_app_does_not_have(tmp_path: Path) -> None:
    body = "context.signal_entity(df.EntityId('tlil', 'a'), 'add')\nyield context.call_activity('work')"
    (hint,) = hints(tmp_path, NAMES, body)
    assert hint.endswith("the app has no entity 'tlil'. Did you mean 'till'?")


@pytest.mark.parametrize(
    "call",
    [
        "call_activity('WORK')",
        "call_activity('charge')",
        "call_activity(context.get_input())",
        "call_activity(f'{context.instance_id}')",
        "call_activity(*context.get_input())",
        "call_activity(**context.get_input())",
        "call_activity(work)",
        "call_sub_orchestrator('Flow')",
        "call_entity(df.EntityId('Till', 'a'), 'add')",
        "call_entity(context.get_input(), 'add')",
        "call_entity(print('tills', 'a'), 'add')",
    ],
)
def test_a_name_that_the_app_has_or_may_have(tmp_path: Path, call: str) -> None:
    assert hints(tmp_path, NAMES, f"yield context.{call}") == []


def test_a_function_that_is_switched_off_is_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    body = "yield context.call_activity('work')\nyield context.call_activity('Charge')"
    hints(tmp_path, NAMES, body)
    monkeypatch.setenv("AzureWebJobs.work.Disabled", "true")
    assert load_app(tmp_path, only=["flow", "work", "till"]).mistakes == []


@pytest.mark.parametrize(
    "body", ["return 1", "await context.call_activity('work')", "yield context.task_all([])"]
)
def test_an_orchestrator_that_is_async(tmp_path: Path, body: str) -> None:
    (hint,) = hints(tmp_path, ORCHESTRATOR.replace("def flow", "async def flow"), body)
    line = (tmp_path / "function_app.py").read_text().splitlines().index("async def flow(context):") + 1
    assert hint == (
        f"flow (function_app.py, line {line}): an orchestrator that is an async def fails. Write def, and yield in "
        "place of await."
    )


def test_an_async_orchestrator_that_a_decorator_drives(tmp_path: Path) -> None:
    driven = """
import functools

def driven(code):
    @functools.wraps(code)
    def drive(context):
        return (yield from code(context).__await__())
    return drive
""" + ORCHESTRATOR.replace("def flow", "@driven\nasync def flow")
    assert hints(tmp_path, driven, "return await context.call_activity('work')") == []


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (
            "client.start_new('flow')\nreturn func.HttpResponse()",
            "client.start_new without await does nothing",
        ),
        (
            "id = client.start_new('flow')\nreturn client.create_check_status_response(req, id)",
            "Write: await client.start_new(…).",
        ),
        ("client.raise_event('a', 'b')\nreturn func.HttpResponse()", "client.raise_event without await"),
    ],
)
def test_a_missing_await(tmp_path: Path, body: str, said: str) -> None:
    (hint,) = hints(tmp_path, STARTER + FLOW, body)
    assert said in hint and hint.startswith("go (function_app.py, line ")


@pytest.mark.parametrize(
    ("call", "said"),
    [
        ("start_new('folw')", "the app has no orchestrator 'folw'. Did you mean 'flow'?"),
        (
            "start_new(orchestration_function_name='work')",
            "the app has no orchestrator 'work'. work is of the kind",
        ),
        (
            "signal_entity(df.EntityId('tlil', 'a'), 'add')",
            "the app has no entity 'tlil'. Did you mean 'till'?",
        ),
        ("start_new('Flow')", ""),
        ("start_new(req.params['name'])", ""),
        ("signal_entity(df.EntityId('other', 'a'), 'add', 1, task_hub_name='Other')", ""),
        ("signal_entity(df.EntityId('other', 'a'), 'add', 1, 'Other')", ""),
    ],
)
def test_what_a_client_starts_and_signals(tmp_path: Path, call: str, said: str) -> None:
    app = STARTER.replace("{body}", f"    await client.{call}\n    return func.HttpResponse()\n") + NAMES
    assert [each.partition("): ")[2][: len(said)] for each in hints(tmp_path, app, "return 1")] == [
        said
    ] * bool(said)
    of_another_app = app.replace('(client_name="client")', '(client_name="client", task_hub="Other")')
    assert hints(tmp_path, of_another_app, "return 1") == []


@pytest.mark.parametrize(
    "body",
    [
        "id = await client.start_new('flow')\nreturn client.create_check_status_response(req, id)",
        "a = client.start_new('flow')\nid = await a\nreturn func.HttpResponse(id)",
        "a, b = await asyncio.gather(client.start_new('flow'), client.start_new('flow'))\nreturn func.HttpResponse()",
        "a = client.start_new('flow')\nids = await asyncio.gather(a)\nreturn func.HttpResponse()",
        "return client.create_check_status_response(req, 'x')",
    ],
)
def test_awaited_calls(tmp_path: Path, body: str) -> None:
    assert hints(tmp_path, STARTER + FLOW, body) == []


def test_the_apps_of_this_repository_have_none() -> None:
    from tests.support.apps import ROOT
    from tests.support.recording_log import RecordingLog

    assert code_hints(load_app(ROOT, RecordingLog()).functions) == []
