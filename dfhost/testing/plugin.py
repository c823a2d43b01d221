"""The pytest plugin: the fixture `durable`, and a report of what happened when a test with it fails.

pytest imports this module in every run. It imports the host only when a test asks for the fixture.
"""

from __future__ import annotations

import sys
from collections.abc import Generator, Iterator, Sequence
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from dfhost.testing.durable import Durable

_OPTIONS = frozenset(("now", "auto_advance", "timer_triggers", "timeout"))


class _PlainImports:
    """Imports dfhost as any other package.

    pytest rewrites the `assert`s in all modules of a distribution that has a plugin. For dfhost that takes a second
    in each run without a cache, as in CI, and it has no `assert` that the author of a test should see.
    """

    @staticmethod
    def find_spec(
        name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        return PathFinder.find_spec(name, path, target) if name.startswith("dfhost.") else None


sys.meta_path.insert(0, _PlainImports)


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("durable", "Durable Functions apps (dfhost)")
    group.addoption(
        "--durable-url",
        metavar="URL",
        help="run the tests against this host, func or Azure; those that need faults or the test's clock are skipped",
    )
    group.addoption("--durable-key", metavar="KEY", help="the key that --durable-url asks for (a master key)")
    parser.addini(
        "durable_app",
        "the app to test: its folder (default: the one with host.json), or module:name",
        default="",
    )
    parser.addini(
        "durable_timeout", "real seconds until a test gives up on an app that keeps running", default="30"
    )
    parser.addini(
        "durable_timer_triggers",
        "whether the app's timer functions run on their schedules when the clock moves",
        type="bool",
        default=True,
    )


def pytest_configure(config: pytest.Config) -> None:
    # The SDK's warnings about its own calls are nothing that a test could act on. As errors they change payloads.
    for warning in (
        "azure.functions df_:DeprecationWarning",
        "azure.functions Durable JSON codec:DeprecationWarning",
        "Potential duplicate Task completion",
    ):
        config.addinivalue_line("filterwarnings", f"ignore:{warning}")
    config.addinivalue_line(
        "markers",
        "durable(now=…, auto_advance=…, timer_triggers=…, timeout=…): options of the fixture `durable` for one test",
    )


@pytest.hookimpl(tryfirst=True)
def pytest_load_initial_conftests(early_config: pytest.Config) -> None:
    """Test files and conftests may import the app's modules. As on Azure, the app's folder comes last."""
    app = _configured_app(early_config)
    if app not in sys.path and any((Path(app) / name).is_file() for name in ("host.json", "function_app.py")):
        sys.path.append(app)
        early_config.add_cleanup(lambda: sys.path.remove(app) if app in sys.path else None)


def _configured_app(config: pytest.Config) -> str:
    """The app's folder, or module:name, as the settings have it."""
    app: str = config.getini("durable_app")
    if not app:
        # Without an ini file pytest takes the folder of the tests for its root.
        root, here = config.rootpath, config.invocation_params.dir
        found = (folder for folder in (root, *root.parents, here) if (folder / "host.json").is_file())
        return str(next(found, root))
    return app if ":" in app[2:] else str(config.rootpath / app)  # not the colon of C:\\


@pytest.fixture
def durable_app(request: pytest.FixtureRequest) -> str:
    """The app that the fixture `durable` runs: its folder, or module:name. Override it to test another."""
    return _configured_app(request.config)


@pytest.fixture
def durable(request: pytest.FixtureRequest, durable_app: str) -> Iterator[Durable]:
    """The app, running in this process, with a clock that stands still (dfhost: docs/testing.md)."""
    from contextlib import ExitStack

    from dfhost.errors import HostError
    from dfhost.testing.errors import BrokenFault, NotDeterministic, UnmetFault
    from dfhost.testing.host import Host

    options: dict[str, Any] = {
        "timeout": float(request.config.getini("durable_timeout")),
        "timer_triggers": request.config.getini("durable_timer_triggers"),
    }
    for marker in reversed(list(request.node.iter_markers("durable"))):
        if marker.args or marker.kwargs.keys() - _OPTIONS:
            raise pytest.UsageError(f"@pytest.mark.durable takes {', '.join(sorted(_OPTIONS))} by name.")
        options |= marker.kwargs
    url = request.config.getoption("--durable-url")
    key = request.config.getoption("--durable-key")
    with ExitStack() as stack:
        problem = ""
        try:
            host = stack.enter_context(Host(durable_app, url=url, key=key, **options))
        except HostError as error:  # a mistake in the app, which its sentence explains
            problem = "\n".join(filter(None, (str(error), getattr(error, "traceback", ""))))
        if problem:
            pytest.fail(problem, pytrace=False)
        request.node.stash[_DURABLE] = host
        yield host
        request.node.user_properties += [(_LEFT, each) for each in host._left_behind()]
        del request.node.stash[_DURABLE]  # pytest keeps the node until the end of the run
        try:
            host.check()  # of a test that failed, a method of unittest, or a fixture
            host._warn_of_unmet_faults()
        except (BrokenFault, NotDeterministic, UnmetFault) as error:  # a warning may be an error
            problem = f"{type(error).__name__}: {error}"
        if problem:
            pytest.fail(problem, pytrace=False)


_DURABLE: pytest.StashKey[Durable] = pytest.StashKey()
_LEFT = "durable: left behind"  # a property of a test, which its report carries


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    reports = [each for reports in terminalreporter.stats.values() for each in reports]
    left = [
        text
        for report in reports
        if getattr(report, "when", None) == "teardown"
        for name, text in report.user_properties
        if name == _LEFT
    ]
    if left:
        terminalreporter.section(f"durable: left at {config.getoption('--durable-url')}")
        for text in left:
            terminalreporter.line(text)


_LOG_LINES = 20  # a longer log is shortened
_LOG_ENDS = 3  # lines of its beginning and of its end


def pytest_enter_pdb() -> None:
    """A breakpoint, perhaps in a function of the app."""
    from dfhost.testing.debugging import debugger_entered

    debugger_entered()


@pytest.hookimpl(wrapper=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> Generator[None, Any, Any]:
    """A test passes only if its faults were right and its orchestrators deterministic."""
    from unittest import SkipTest

    try:
        result = yield
    except SkipTest as skip:  # of this kind pytest names a line in itself, of its own kind that of the test
        raise pytest.skip.Exception(str(skip)).with_traceback(skip.__traceback__) from None
    if durable := pyfuncitem.stash.get(_DURABLE, None):
        durable.check()
    return result


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Generator[None, Any, None]:
    outcome = yield
    durable = item.stash.get(_DURABLE, None)
    if durable is not None and not outcome.get_result().passed:
        durable._may_warn = False
    if durable is not None and outcome.get_result().failed:  # the test, or a fixture that uses this one
        whole = item.config.getoption("verbose") > 1
        try:
            report = durable.report(short=not whole)
        except Exception as error:  # it must not take the place of the test's own failure
            report = f"The report failed: {type(error).__name__}: {error}"
        result = outcome.get_result()
        result.sections = [
            (title, _shortened_log(text) if title.startswith("Captured log") and not whole else text)
            for title, text in result.sections
        ]
        if report:
            result.sections.insert(0, ("durable: what happened", report))


def _shortened_log(text: str) -> str:
    """The first and the last lines of a long log: an app with a fan-out may log a line for each of its items."""
    lines = text.splitlines()
    if len(lines) <= _LOG_LINES:
        return text
    left_out = (
        f"… {len(lines) - 2 * _LOG_ENDS} lines are left out; `pytest -vv` shows them, durable.logs has them …"
    )
    return "\n".join((*lines[:_LOG_ENDS], left_out, *lines[-_LOG_ENDS:]))
