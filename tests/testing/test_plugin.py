"""The pytest plugin in a test run of its own, as a user has it; the examples of docs/testing.md are part of it."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from textwrap import dedent, indent

import pytest

from tests.support.apps import APPS, ROOT, write_app
from tests.support.azure_proxy import MASTER_KEY, azure_proxy
from tests.support.host_process import HostProcess, clean_environment
from tests.support.waiting import DEADLINE

pytestmark = pytest.mark.long  # each run of pytest is a process that imports everything

PAGE = (ROOT / "docs" / "testing.md").read_text("utf-8")
PAGE_APP, PAGE_TESTS, *_, PAGE_UNITTEST = re.findall(r"```python\n(.*?)```", PAGE, re.S)

OTHER_APP = f"""
    import pytest

    @pytest.fixture
    def durable_app():
        return {str(APPS / "testing")!r}
"""

FILES = {
    "test_page": PAGE_TESTS,
    "test_page_unittest": PAGE_UNITTEST.replace("src/orders", "."),
    "test_page_waiting": """
        def test_waiting(durable):
            durable.start("approval", {"amount": 900}, id="4c5f9e").result()
    """,
    "test_a_plain": """
        import os

        def test_the_environment_is_the_tests_own():
            assert "FUNCTIONS_WORKER_RUNTIME" not in os.environ
    """,
    "test_root_app": """
        import os
        import function_app

        def test_the_app_in_the_root_folder(durable):
            assert durable.start("hello", "you").result() == ["Hello you!", 2]
            assert "FUNCTIONS_WORKER_RUNTIME" in os.environ

        def test_the_settings_hold(durable):
            assert durable.next_due is None

        def test_patched(durable, monkeypatch):
            monkeypatch.setattr(function_app, "GREETING", "Good day")
            assert durable.start("hello", "you").result() == ["Good day you!", 2]

        def test_restored(durable):
            assert durable.start("hello", "you").result() == ["Hello you!", 2]
    """,
    "test_settings": """
        import os
        import pytest

        @pytest.fixture
        def low(monkeypatch):
            monkeypatch.setenv("LIMIT", "5")

        @pytest.fixture
        def durable_app():
            return "limited"

        def test_set_before_the_app_is_loaded(low, durable):
            assert durable.start("limit").result() == "5"

        def test_set_by_the_file_alone(durable):
            assert durable.start("limit").result() == "1000"

        def test_set_while_the_app_is_loaded(durable, monkeypatch):
            monkeypatch.setenv("LIMIT", "7")
            assert durable.start("limit").result() == "7"

        def test_the_environment_is_as_before():
            assert "LIMIT" not in os.environ
    """,
    "test_failures": OTHER_APP + """
    def test_failed(durable):
        durable.fail("charge", on_call=2, error=ConnectionError("down"))
        durable.start("fan", ["a", "b"], id="x").result()

    def test_not_deterministic(durable):
        durable.start("fresh_uuid", id="y").raise_event("go")

    @pytest.mark.durable(speed=2)
    def test_unknown_option(durable): pass
    """,
    "test_broken_fault": OTHER_APP + """
    def test_broken_when(durable):
        durable.fail("charge", when=lambda order: order["itm"] == "book")
        assert "charge" in durable.start("fan", ["a"], id="b").failure()
    """,
    "test_unmet_fault": OTHER_APP + """
    def test_met_by_none(durable):
        durable.fail("charge", on_call=7)
        assert len(durable.start("fan", ["a"]).result()) == 1

    def test_failed_and_met_by_none(durable):
        durable.fail("charge", on_call=8)
        assert not durable.start("fan", ["a"]).result()

    def test_skipped_and_met_by_none(durable):
        durable.fail("charge", on_call=9)
        pytest.skip("no")
    """,
    "test_own_fixture": OTHER_APP + """
    import unittest

    @pytest.fixture
    def paid(durable):
        durable.fail("charge", error=ConnectionError("down"))
        return durable.start("pay", "book", id="p").result()

    def test_paid(paid): pass

    class UnitTest(unittest.TestCase):
        @pytest.fixture(autouse=True)
        def app(self, durable):
            self.durable = durable

        def test_unit(self):
            self.durable.start("fresh_uuid", id="u").raise_event("go")
    """,
    "test_objects": """
        from function_app import Order

        def test_objects(durable):
            run = durable.start("orders", Order())
            assert run.result() == "Order"
            assert [type(given) for given in (run.input, *durable.calls("orders"))] == [Order, Order]
    """,
    "test_long_log": """
        import logging

        def test_long_log(durable):
            for number in range(300):
                logging.info("line %d", number)
            assert not durable

        def test_much(durable):
            def add_one(n):
                logging.info("line %d", n)
                if n % 3 == 0:
                    raise ValueError("no")
                return n + 1

            durable.stub("add_one", add_one)
            durable.start("many", list(range(60))).result()
    """,
    "test_mistakes": OTHER_APP + """
    def replays(durable):
        history = durable.start("approval", {"amount": 1}).history
        durable.assert_replays({"name": "pay", "historyEvents": history})

    @pytest.mark.parametrize("mistake", [
        lambda durable: durable.advance(days=-1),
        lambda durable: durable.start("pay", {"books": [{1}]}),
        lambda durable: durable.start("approval", {"amount": 1}).raise_event("approved", {1}),
        lambda durable: durable.post("/api/now", json={1}),
        lambda durable: durable.entity("till", "main").signal("add", {1}),
        lambda durable: durable.start("pay", 1).calls("chagre"),
        lambda durable: durable.get("/api/now").run,
        lambda durable: durable.get("/api/now").json(),
        replays,
    ])
    def test_mistake(durable, mistake):
        mistake(durable)
    """,
    "test_nowhere": """
        import pytest

        @pytest.fixture
        def durable_app(): return "nowhere"

        def test_nowhere(durable): pass
    """,
    "test_two_apps": """
        import sys
        from pathlib import Path
        import pytest

        @pytest.fixture(params=["one", "two", "one", "two"])
        def durable_app(request): return str(Path(__file__).parent / request.param)

        seen = []
        def test_who(durable, durable_app):
            name, count = durable.start("who").result()
            seen.append((name, count))
            assert name == Path(durable_app).name == sys.modules["helper"].NAME
            assert Path(sys.modules["function_app"].__file__).parent.name == name

        def test_all(): assert seen == [("one", 1), ("two", 1), ("one", 2), ("two", 2)]
    """,
    "test_module": """
        import pytest
        import shop.orders.main

        @pytest.fixture
        def durable_app(): return "shop.orders.main:app"

        def test_module(durable, monkeypatch):
            monkeypatch.setattr(shop.orders.main, "GREETING", "Welcome")
            assert durable.start("hello", "you").result() == ["Welcome you!", 2]
    """,
    "slow_debugger": """
        import pdb, time

        class SlowDebugger(pdb.Pdb):
            def interaction(self, *arguments):
                time.sleep(1)  # somebody reads
                self.set_continue()
    """,
    "test_debugging": """
        import pytest

        @pytest.mark.durable(timeout=0.3)
        def test_no_time_out_ends_a_test_at_a_breakpoint(durable):
            durable.stub("send_mail", lambda mail: breakpoint())
            assert durable.start("approval", {"amount": 1}).status == "Running"
    """,
    "test_no_module": """
        from dfhost.testing import Host
        def test_no_module():
            with Host("no.such:app"): pass
    """,
    "test_unittest": f"""
        import unittest
        from dfhost.testing import Host, NotDeterministic

        class PayTest(unittest.TestCase):
            def test_pay(self):
                with Host({str(APPS / "testing")!r}) as durable:
                    self.assertEqual(durable.start("pay", "book").result()["price"], 4)

            def test_not_deterministic(self):
                with self.assertRaises(NotDeterministic), Host({str(APPS / "testing")!r}) as durable:
                    durable.start("fresh_uuid").raise_event("go")
    """,
}  # fmt: skip

ROOT_APP = (
    indent(PAGE_APP.replace("...  #", 'return "sent"  #'), "    ")
    + """
    GREETING = "Hello"

    @app.orchestration_trigger(context_name="context")
    def hello(context):
        number = yield context.call_activity("add_one", 1)
        return f"{GREETING} {context.get_input()}!", number

    @app.activity_trigger(input_name="n")
    def add_one(n: int) -> int:
        return n + 1

    @app.orchestration_trigger(context_name="context")
    def many(context):
        return (yield context.task_all([context.call_activity("add_one", n) for n in context.get_input()]))

    class Order:
        @staticmethod
        def to_json(order):
            return "{}"

        @staticmethod
        def from_json(text):
            return Order()

    @app.orchestration_trigger(context_name="context")
    def orders(context):
        return type(context.get_input()).__name__
        yield

    @app.timer_trigger(schedule="0 0 * * * *", arg_name="timer")
    def hourly(timer) -> None:
        raise RuntimeError("the settings of these tests switch it off")
"""
)

COUNTING_APP = """
    import helper
    count = [0]

    @app.orchestration_trigger(context_name="context")
    def who(context):
        count[0] += 1
        return helper.NAME, count[0]
"""


LIMITED_APP = """
    import os

    @app.orchestration_trigger(context_name="context")
    def limit(context):
        return (yield context.call_activity("read_limit"))

    @app.activity_trigger(input_name="nothing")
    def read_limit(nothing) -> str:
        return os.environ["LIMIT"]
"""


def run_python(folder: Path, *arguments: str) -> str:
    """What `python` prints with these arguments."""
    environ = {
        name: text for name, text in clean_environment().items() if not name.startswith(("PYTEST", "COV"))
    }
    done = subprocess.run(
        [sys.executable, *arguments], cwd=folder, env=environ, capture_output=True, text=True, timeout=DEADLINE,
        check=False,
    )  # fmt: skip
    return done.stdout + done.stderr


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("user")
    (folder / "pytest.ini").write_text(
        "[pytest]\naddopts = -p no:asyncio -p no:xdist\ndurable_timer_triggers = false\nfilterwarnings = error\n"
    )
    write_app(folder, ROOT_APP)
    (folder / "host.json").write_text("{}")
    for name in ("one", "two"):
        write_app(folder / name, COUNTING_APP)
        (folder / name / "helper.py").write_text(f"NAME = {name!r}\n")
    write_app(folder / "limited", LIMITED_APP)
    (folder / "limited" / "local.settings.json").write_text('{"Values": {"LIMIT": "1000"}}')
    (folder / "shop" / "orders").mkdir(parents=True)
    write_app(folder / "shop" / "orders", ROOT_APP)
    (folder / "shop" / "orders" / "function_app.py").rename(folder / "shop" / "orders" / "main.py")
    for name, content in FILES.items():
        (folder / f"{name}.py").write_text(dedent(content))
    return folder


@pytest.fixture(scope="module")
def printed(folder: Path) -> str:
    """What a run of all files prints."""
    coverage = "-m coverage run --include=function_app.py"
    return run_python(folder, *f"{coverage} -m pytest -v -rp --pdbcls=slow_debugger:SlowDebugger".split())


PASSED = """
    test_page.py::test_nobody_answers
    test_page.py::test_the_boss_agrees
    test_settings.py::test_set_before_the_app_is_loaded
    test_settings.py::test_set_by_the_file_alone
    test_settings.py::test_set_while_the_app_is_loaded
    test_settings.py::test_the_environment_is_as_before
    test_page_unittest.py::ApprovalTest::test_nobody_answers
    test_a_plain.py::test_the_environment_is_the_tests_own
    test_root_app.py::test_the_app_in_the_root_folder
    test_root_app.py::test_the_settings_hold
    test_root_app.py::test_patched
    test_root_app.py::test_restored
    test_objects.py::test_objects
    test_debugging.py::test_no_time_out_ends_a_test_at_a_breakpoint
    test_two_apps.py::test_all
    test_module.py::test_module
    test_unittest.py::PayTest::test_pay
    test_unittest.py::PayTest::test_not_deterministic
"""


@pytest.mark.parametrize("test", PASSED.split())
def test_what_passes(printed: str, test: str) -> None:
    assert re.search(rf"^PASSED {re.escape(test)}$", printed, re.M), printed


def test_a_wait_that_cannot_end_fails_as_the_page_says(printed: str) -> None:
    failure = printed.partition("___ test_waiting ___")[2]
    for shown in re.findall(r"```text\n((?:StillWaiting:|---).*?)```", PAGE, re.S):
        for line in shown.splitlines():
            assert line in failure, failure


def test_a_failure_shows_what_happened(printed: str) -> None:
    _, _, section = printed.partition("___ test_failed ___")
    section, _, _ = section.partition("___ test_not_deterministic ___")
    assert "RunFailed: fan x has ended as Failed" in section
    assert "durable: what happened" in section
    assert "fan x: Failed" in section
    assert re.search(r'\+0  charge \[0\] "a"  completed  -> \{"order":"a","price":1\}', section)
    assert re.search(r'\+0  charge \[1\] "b"  failed +-> ConnectionError: down', section)
    assert "local_host.py" not in section, "no frames of ours"


def test_a_long_log_is_shortened(printed: str) -> None:
    _, _, section = printed.partition("___ test_long_log ___")
    section, _, _ = section.partition("____ ")
    lines = [int(number) for number in re.findall(r" line (\d+)$", section, re.M)]
    assert lines == [*range(3), *range(297, 300)]
    assert "… 294 lines are left out; `pytest -vv` shows them, durable.logs has them …" in section


def test_the_report_stands_before_the_log_and_is_short_but_for_vv(folder: Path) -> None:
    command = "-m pytest test_long_log.py::test_much"
    short, whole = (run_python(folder, *f"{command} {option}".split()) for option in ("-v", "-vv"))
    for printed, is_short in ((short, True), (whole, False)):
        happened, log = re.split("-+ Captured log call -+\n", printed.partition("durable: what happened")[2])
        log = log.partition("\n====")[0]
        assert ("This is the short report" in happened) == is_short
        assert ("add_one failed for 20 of 60 calls: ValueError: no" in happened) == is_short
        assert (happened.count("\n") + log.count("\n") < 31) == is_short, printed
        assert log.count("line ") == (6 if is_short else 60)


def test_a_test_fails_if_an_orchestrator_is_not_deterministic(printed: str) -> None:
    assert re.search(r"^test_failures.py::test_not_deterministic FAILED", printed, re.M)
    _, _, section = printed.partition("___ test_not_deterministic ___")
    traceback, _, _ = section.partition("durable: what happened")
    assert "NotDeterministic: fresh_uuid is not deterministic (instance y)" in traceback
    assert len(traceback.splitlines()) < 25, traceback


def test_a_broken_fault_is_shown_at_its_line_and_at_the_call_of_the_test(printed: str) -> None:
    _, _, section = printed.partition("___ test_broken_when ___")
    shown, _, _ = section.partition("durable: what happened")
    at = [line[1:].strip() for line in shown.splitlines() if line.startswith(">")]
    assert at == [
        'durable.fail("charge", when=lambda order: order["itm"] == "book")',
        'assert "charge" in durable.start("fan", ["a"], id="b").failure()',
    ]
    assert re.search(
        r"BrokenFault: `when` of charge \(test_broken_fault\.py, line \d+\), called with 'a', raised", shown
    )
    assert "faults.py" not in shown.replace("test_broken_fault", ""), "no frames of ours"


def test_a_fault_that_no_call_has_met_is_a_warning_of_a_test_that_passes(folder: Path) -> None:
    printed = run_python(folder, *"-m pytest test_unmet_fault.py -W default".split())
    _, _, warnings = printed.partition("= warnings summary =")
    assert re.search(
        r"^test_unmet_fault\.py::test_met_by_none\n"
        r"  .*test_unmet_fault\.py:9: UnmetFault: No call has met "
        r'fail\("charge", on_call=7\) \(test_unmet_fault\.py, line 9\): charge was called once\.\n'
        r'    durable\.fail\("charge", on_call=7\)$',
        warnings,
        re.M,
    ), printed
    assert "1 failed, 1 passed, 1 skipped" in printed and printed.count("No call has met") == 1
    as_errors = run_python(folder, *"-m pytest test_unmet_fault.py".split())
    assert re.search(r"at teardown of test_met_by_none ___+\nUnmetFault: No call has met fail", as_errors)


def test_a_method_of_unittest_fails_likewise(printed: str) -> None:
    error = "ERROR at teardown of UnitTest.test_unit ___+\\nNotDeterministic: fresh_uuid is not deterministic"
    assert re.search(error, printed), printed


def test_a_fixture_that_fails_shows_what_happened(printed: str) -> None:
    section = printed.partition("ERROR at setup of test_paid ___")[2].partition("\n____")[0]
    happened = section.partition("durable: what happened")[2]
    assert "pay p: Running" in happened and "ConnectionError: down" in happened, section


def test_mistakes_are_told_in_a_sentence(printed: str) -> None:
    assert "@pytest.mark.durable takes auto_advance, now, timeout, timer_triggers by name." in printed
    assert re.search(r"^There is no folder .*nowhere", printed, re.M)
    assert "AppError: There is no module no.such. pytest finds modules" in printed


def test_an_error_is_shown_at_the_line_of_the_test(printed: str) -> None:
    _, *mistakes = re.split(r"___ test_mistake\[", printed.partition("___ test_nowhere")[0])
    said = [
        r"ValueError: The clock is at .* and cannot go back",
        r"TypeError: the input of pay cannot be written as JSON: it has a value of type set at \['books'\]\[0\]\.",
        r"TypeError: the data of the event approved cannot be written as JSON: it is of type set\.",
        r"TypeError: the body cannot be written as JSON: it is of type set\.",
        r"TypeError: the input of add cannot be written as JSON: it is of type set\.",
        r"ValueError: The app has no activity or orchestrator 'chagre'\.",
        r'AssertionError: The answer 200 names no instance \("id" in its body\)',
        r"AssertionError: The body is not JSON",
        r"NotDeterministic: pay does not replay from the history: ",
    ]
    assert len(mistakes) == len(said)
    for mistake, sentence in zip(mistakes, said, strict=True):
        traceback = mistake.partition("--- Captured")[0].partition("durable: what happened")[0]
        assert re.search(rf"^E +(\S+\.)?{sentence}", traceback, re.M), mistake
        assert not re.search(r"^\S*(dfhost|azure|json)/\S*:\d+: ", traceback, re.M), (
            "no lines but the test's own"
        )


def test_coverage_sees_the_app(printed: str, folder: Path) -> None:
    report = run_python(folder, "-m", "coverage", "report", "--include=./function_app.py")
    assert re.search(r"function_app.py +\d+ +0 +100%", report), report


def test_the_plugin_imports_nothing_until_the_fixture_is_asked_for() -> None:
    code = (
        "import sys, pytest; before = set(sys.modules); import dfhost.testing.plugin; "
        "print(*sorted(set(sys.modules) - before))"
    )
    assert run_python(ROOT, "-c", code).split() == ["dfhost", "dfhost.testing", "dfhost.testing.plugin"]


def test_the_plugin_keeps_pytest_from_rewriting_dfhost(tmp_path: Path) -> None:
    (tmp_path / "test_imports.py").write_text(
        dedent("""
            import pytest

            pytest.register_assert_rewrite("dfhost")  # as pytest does where dfhost is installed from a wheel

            def test_imports():
                import dfhost.testing.host
                print(type(dfhost.testing.host.__spec__.loader).__name__)
        """)
    )
    printed = run_python(tmp_path, *"-m pytest -s -p no:asyncio -p no:xdist".split())
    assert "1 passed" in printed, printed
    assert "SourceFileLoader" in printed, printed


# -- against a URL -------------------------------------------------------------------------------------------

FOR_A_URL = (
    OTHER_APP
    + """
    from uuid import uuid4

    def test_a_run(durable):
        assert durable.start("pay", "book").result() == {"order": "book", "price": 4}

    def test_http_and_events(durable):
        run = durable.post("/api/approvals", json={"amount": 1}).run
        run.until(lambda run: any(event["EventType"] == "TimerCreated" for event in run.history))
        run.waits_for(event="approved")
        assert run.raise_event("approved", "yes").result() == "yes"

    def test_entities(durable):
        durable.start("sell", 5).result()
        assert durable.entity("till", "main").state >= 5

    def test_entity_signals(durable):
        till = durable.entity("till", "signalled")
        for amount in (1, 2, 3):
            state = till.state or 0
            assert till.signal("add", amount).state == state + amount

    def test_steering(durable):
        run = durable.start("approval", {"amount": 1})
        for _ in range(3):
            assert run.suspend().status == "Suspended"
            assert run.resume().status == "Running"
        assert run.terminate().status == "Terminated"
        assert durable.start("approval", {"amount": 1}).status == "Running"

    def test_trigger(durable):
        id = uuid4().hex
        durable.trigger("on_order", id)
        assert durable.run(id).name == "approval"
        durable.run(id).terminate()

    def test_time(durable):
        durable.advance(days=1)

    def test_stub(durable):
        durable.stub("charge", returns=1)

    def test_waiting(durable):
        durable.start("approval", {"amount": 1}).result(timeout=0.1)
"""
)


def test_the_same_tests_run_against_a_url(tmp_path: Path) -> None:
    (tmp_path / "pytest.ini").write_text(
        "[pytest]\naddopts = -p no:asyncio -p no:xdist\ndurable_timer_triggers = false\n"
    )
    (tmp_path / "test_url.py").write_text(dedent(FOR_A_URL))
    with HostProcess(APPS / "testing", "--memory") as host, azure_proxy(host.url) as azure:
        printed = run_python(tmp_path, "-m", "pytest", "-rs", "--durable-url", host.url, "--durable-key", "k")
        on_azure = run_python(
            tmp_path, "-m", "pytest", "-rs", "--durable-url", azure.url, "--durable-key", MASTER_KEY
        )
    assert "1 failed, 6 passed, 2 skipped" in printed, printed
    for where, what in (("def test_time", "the test's own clock"), ("def test_stub", "stubs")):
        line = next(n for n, line in enumerate(dedent(FOR_A_URL).splitlines(), 2) if line.startswith(where))
        assert f"test_url.py:{line}: needs {what}, so it does not run against {host.url}" in printed, printed
    assert "has not ended. It waits for event approved or a timer" in printed
    _, _, happened = printed.partition("--- durable: what happened ---")
    assert re.match(
        r"-*\napproval \w{32}: Running\n  input {\"amount\": 1}\n  send_mail  completed  -> sent\n"
        r"  timer  waiting\n  It waits for event approved or a timer",
        happened,
    ), printed
    _, _, left = printed.partition(f" durable: left at {host.url} ===")
    left = left.partition("=== short test summary")[0]
    assert left.count("approval ") == 2 and "the entity till signalled" in left, printed
    assert "1 failed, 5 passed, 3 skipped" in on_azure, on_azure  # nobody there says what is waited for
    assert "needs a host that knows what an instance waits for" in on_azure
    assert "has not ended. It is Running." in on_azure


def test_the_app_is_found_from_the_folder_of_the_tests(folder: Path) -> None:
    tests = folder / "below" / "tests"
    tests.mkdir(parents=True)
    (folder / "below" / "host.json").write_text("{}")
    write_app(folder / "below", ROOT_APP.replace("Hello", "Hi"))
    (folder / "below" / "orders").mkdir()
    (folder / "below" / "orders" / "prices.py").write_text("PRICE = 12\n")
    (tests / "conftest.py").write_text("from orders.prices import PRICE\nassert PRICE == 12\n")
    (tests / "test_hi.py").write_text(
        "from orders.prices import PRICE\n"
        'def test_hi(durable): assert durable.start("hello", PRICE).result() == ["Hi 12!", 2]\n'
    )
    options = "-m pytest -p no:asyncio -p no:xdist --rootdir=below/tests below/tests".split()
    assert "1 passed" in run_python(folder, *options)
