"""Loading an app: what the real worker takes, what it refuses, and the sentence for it."""

from __future__ import annotations

import os
import sys
import time
from importlib.util import source_from_cache
from pathlib import Path

import pytest

from dfhost.app.loader import load_app
from dfhost.errors import AppError, AppImportFailed
from tests.support.apps import HEAD, function_named, load_written_app, write_app


def refusal(folder: Path, body: str, head: str = HEAD) -> str:
    with pytest.raises(AppError) as caught:
        load_app(write_app(folder, body, head))
    return str(caught.value)


# -- what loads ----------------------------------------------------------------------------------------------
def test_a_plain_def_with_a_durable_client_is_noted(tmp_path: Path) -> None:
    body = """
        @app.route()
        @app.durable_client_input(client_name="client")
        def plain(req: func.HttpRequest, client): return "x"

        @app.route()
        @app.durable_client_input(client_name="client")
        async def right(req: func.HttpRequest, client): return "x"

        @app.route()
        @app.generic_input_binding(arg_name="client", type="durableClient")
        def by_hand(req: func.HttpRequest, client: str): return client
    """
    [note] = load_written_app(tmp_path, body).notes
    assert note.endswith("Make these functions async def: plain.")


def test_functions_keep_their_order_and_know_their_kind(tmp_path: Path) -> None:
    app = load_written_app(
        tmp_path,
        """
        @app.route(route="start")
        def http_start(req: func.HttpRequest) -> func.HttpResponse: ...

        @app.orchestration_trigger(context_name="context")
        def parent(context): yield

        @app.activity_trigger(input_name="x")
        async def work(x: str) -> str: ...

        @app.entity_trigger(context_name="context")
        def counter(context): ...

        @app.timer_trigger(schedule="0 0 * * * *", arg_name="tick")
        def hourly(tick: func.TimerRequest) -> None: ...

        @app.queue_trigger(arg_name="msg", queue_name="orders", connection="Storage")
        def on_order(msg: func.QueueMessage) -> None: ...

        @app.blob_trigger(arg_name="blob", path="in/{name}", connection="Storage")
        def on_upload(blob: func.InputStream) -> None: ...
        """,
    )
    assert [(each.name, each.kind) for each in app.functions] == [
        ("http_start", "http"),
        ("parent", "orchestrator"),
        ("work", "activity"),
        ("counter", "entity"),
        ("hourly", "timer"),
        ("on_order", "queue"),
        ("on_upload", "blobTrigger"),
    ]
    assert [each.name for each in app.http_functions] == ["http_start"]
    assert [each.name for each in app.timers] == ["hourly"]
    assert [each.name for each in app.queue_functions] == ["on_order"]
    assert [each.name for each in app.others] == ["on_upload"]
    assert app.get("WORK") is app.activities.get("work") and function_named(app.activities, "work").is_async
    assert app.http_functions[0].trigger["route"] == "start"


def test_bindings_that_do_nothing_here_are_noted(tmp_path: Path) -> None:
    app = load_written_app(
        tmp_path,
        """
        @app.route("keep")
        @app.blob_output(arg_name="blob", path="c/b", connection="Storage")
        @app.queue_output(arg_name="queue", queue_name="orders", connection="Storage")
        def keeps(req: func.HttpRequest, blob: func.Out[str], queue: func.Out[str]) -> str: ...

        @app.route("read")
        @app.table_input(arg_name="rows", table_name="t", connection="Storage")
        def reads(req: func.HttpRequest, rows) -> str: ...
        """,
    )
    assert app.notes == [
        "dfhost shows these outputs instead of sending them: keeps (blob).",
        "dfhost cannot read these inputs, so calls of their functions fail: reads (table).",
    ]


def test_durable_names_are_overridden_and_compared_without_case(tmp_path: Path) -> None:
    app = load_written_app(
        tmp_path,
        """
        @app.activity_trigger(input_name="x", activity="Greet")
        def hello(x): ...

        @app.function_name("Renamed")
        @app.activity_trigger(input_name="x")
        def other(x): ...

        @app.orchestration_trigger(context_name="context", orchestration="Main")
        def run(context): yield

        @app.entity_trigger(context_name="context", entity_name="Cell")
        def entity(context): ...
        """,
    )
    assert app.activities.names == ["Greet", "Renamed"]
    assert function_named(app.activities, "gREET").name == "hello"
    assert app.activities.get("hello") is None and "hello" not in app.activities
    assert function_named(app.orchestrators, "main").name == "run"
    assert function_named(app.entities, "CELL").name == "entity"


def test_blueprints_and_plain_function_apps_load(tmp_path: Path) -> None:
    (tmp_path / "parts.py").write_text(
        "import azure.durable_functions as df\nbp = df.Blueprint()\n"
        "@bp.activity_trigger(input_name='x')\ndef part(x): return x\n"
    )
    body = "from parts import bp\napp = func.FunctionApp()\napp.register_functions(bp)\n"
    app = load_app(write_app(tmp_path, body, "import azure.functions as func\n"))
    assert app.activities.names == ["part"]


def test_a_second_app_in_the_same_process_sees_its_own_modules(tmp_path: Path) -> None:
    for name in ("one", "two"):
        folder = write_app(tmp_path / name, "from shared_name import work\n")
        (folder / "shared_name.py").write_text(
            "import function_app\n"
            "@function_app.app.activity_trigger(input_name='x')\n"
            f"def work(x): return {name!r}\n"
        )
        assert function_named(load_app(folder).activities, "work").call("null") == f'"{name}"'
        assert sys.path.count(str(folder)) == 1
    assert str(tmp_path / "one") not in sys.path


def test_the_same_app_can_be_loaded_again(tmp_path: Path) -> None:
    folder = write_app(tmp_path, "@app.activity_trigger(input_name='x')\ndef work(x): ...\n")
    for _ in range(2):
        assert load_app(folder).activities.names == ["work"]


def test_packages_beside_the_app_win(tmp_path: Path) -> None:
    site = tmp_path / ".python_packages" / "lib" / "site-packages"
    site.mkdir(parents=True)
    (site / "beside_the_app.py").write_text("name = 'package'\n")
    (tmp_path / "beside_the_app.py").write_text("name = 'own file'\n")
    body = """
        from beside_the_app import name
        @app.activity_trigger(input_name="x")
        def which(x): return name
        """
    assert function_named(load_written_app(tmp_path, body).activities, "which").call("null") == '"package"'


def test_another_script_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_app(tmp_path, "@app.activity_trigger(input_name='x')\ndef work(x): ...\n")
    (tmp_path / "function_app.py").rename(tmp_path / "main.py")
    monkeypatch.setenv("PYTHON_SCRIPT_FILE_NAME", "main.py")
    assert load_app(tmp_path).activities.names == ["work"]
    monkeypatch.setenv("PYTHON_SCRIPT_FILE_NAME", "../main.py")
    with pytest.raises(AppError, match="PYTHON_SCRIPT_FILE_NAME"):
        load_app(tmp_path)


def test_functions_can_be_switched_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write_app(
        tmp_path,
        "".join(f"@app.activity_trigger(input_name='x')\ndef {n}(x): ...\n" for n in ("one", "two", "three")),
    )
    monkeypatch.setenv("AzureWebJobs.one.Disabled", "true")
    monkeypatch.setenv("AzureWebJobs_two_Disabled", "false")
    app = load_app(folder)
    assert (app.activities.names, [each.name for each in app.disabled]) == (["two", "three"], ["one"])
    app = load_app(folder, only=["THREE"])
    assert app.activities.names == ["three"]
    assert [[each.name for each in group] for group in (app.disabled, app.excluded)] == [["one"], ["two"]]


def saved_at(moment: float, file: Path, text: str) -> None:
    file.write_text(text)
    os.utime(file, (moment, moment))


@pytest.mark.parametrize("module", ["function_app.py", "helper.py", "package/helper.py"])
def test_a_file_saved_twice_within_a_second_is_loaded_as_it_is(tmp_path: Path, module: str) -> None:
    (tmp_path / "package").mkdir()
    write_app(tmp_path, "import helper, package.helper")
    for name in ("helper.py", "package/helper.py"):
        saved_at(0, tmp_path / name, "")
    moment = time.time()
    for version in (1, 2):
        kind = f"@app.activity_trigger(input_name='x')\ndef version_{version}(x): ..."
        if module == "function_app.py":
            text = f"{HEAD}{kind}"
        else:
            text = f"import function_app; app = function_app.app\n{kind}"
        saved_at(moment, tmp_path / module, text)
        assert load_app(tmp_path).activities.names == [f"version_{version}"]


@pytest.mark.parametrize("module", ["function_app.py", "helper.py", "package/helper.py"])
def test_the_bytecode_of_a_file_that_stays_as_it_is_is_cached(tmp_path: Path, module: str) -> None:
    (tmp_path / "package").mkdir()
    write_app(tmp_path, "import helper, package.helper")
    for name in ("helper.py", "package/helper.py"):
        (tmp_path / name).touch()
    saved_at(time.time() - 3, tmp_path / module, (tmp_path / module).read_text())
    load_app(tmp_path)
    cached = {Path(source_from_cache(file)) for file in map(str, tmp_path.rglob("*.pyc"))}
    assert cached == {tmp_path / module}


# -- what does not -------------------------------------------------------------------------------------------
def test_no_folder_no_script_an_older_model(tmp_path: Path) -> None:
    with pytest.raises(AppError, match="There is no folder"):
        load_app(tmp_path / "nowhere")
    with pytest.raises(AppError, match=r"There is no function_app\.py in .*Start dfhost in the folder"):
        load_app(tmp_path)
    (tmp_path / "Hello").mkdir()
    (tmp_path / "Hello" / "function.json").write_text("{}")
    with pytest.raises(
        AppError, match=r"an app of the Python v1 programming model .*dfhost runs v2 apps only"
    ):
        load_app(tmp_path)


def test_functions_of_the_older_model_beside_the_app_are_noted(tmp_path: Path) -> None:
    (tmp_path / "Hello").mkdir()
    (tmp_path / "Hello" / "function.json").write_text("{}")
    [note] = load_written_app(tmp_path, "").notes
    assert "Python v1 model are not loaded, as on Azure: Hello." in note


def test_settings_that_were_asked_for_and_not_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHOP_REGION", "north")
    body = """
        import os
        region, limit = os.getenv("SHOP_REGION"), os.getenv("SHOP_LIMIT", "5")
        table = os.environ.get("SHOP_TABLE").lower()
        later = os.getenv("SHOP_LATER")
    """
    with pytest.raises(
        AppImportFailed, match=r"app settings that are not set: SHOP_TABLE\. Set each as an env"
    ):
        load_written_app(tmp_path, body)


def test_a_module_in_a_folder_that_is_not_searched(tmp_path: Path) -> None:
    (tmp_path / "src" / "pricing").mkdir(parents=True)
    (tmp_path / "src" / "pricing" / "__init__.py").touch()
    (tmp_path / "requirements.txt").write_text("a-library")
    with pytest.raises(AppImportFailed, match=r"in the folder src, .* import it as src\.pricing\."):
        load_written_app(tmp_path, "import pricing.rates")


def test_a_library_that_is_not_there_and_where_it_belongs(tmp_path: Path) -> None:
    (tmp_path / "requirements.txt").write_text("no-such-library")
    with pytest.raises(AppImportFailed) as caught:
        load_written_app(tmp_path, "import no_such_library")
    assert f"{sys.executable} -m pip install -r {tmp_path / 'requirements.txt'}" in str(caught.value)
    with pytest.raises(AppImportFailed) as caught:
        load_written_app(tmp_path, "{}['no_such_key']")
    assert str(caught.value).endswith("KeyError: 'no_such_key'")


def test_an_app_setting_that_is_not_there_and_where_it_belongs(tmp_path: Path) -> None:
    with pytest.raises(AppImportFailed, match=r"KeyError: 'NO_SUCH_SETTING'\. Set it as .* under Values in"):
        load_written_app(tmp_path, "import os\nos.environ['NO_SUCH_SETTING']")


def test_decorators_of_two_blueprints_on_one_function(tmp_path: Path) -> None:
    body = """
        bp = df.Blueprint()

        @bp.activity_trigger(input_name="item")
        def work(item: str) -> str: ...

        @bp.durable_client_input(client_name="client")
        @app.route()
        async def begin(req: func.HttpRequest, client) -> None: ...

        app.register_functions(bp)
    """
    with pytest.raises(AppError, match=r"The binding 'client' went to 'work' instead of 'begin': all decor"):
        load_written_app(tmp_path, body)


def test_a_script_in_another_folder_is_pointed_to(tmp_path: Path) -> None:
    for folder in ("src", "apps/shop"):
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / "function_app.py").touch()
    with pytest.raises(
        AppError, match=r"no function_app\.py in .*, but there is one in apps.shop, src\. Give"
    ):
        load_app(tmp_path)


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        ("x = 1", "function_app.py has no function app at its top level, e.g. app = df.DFApp()."),
        ("bp = df.Blueprint()", "'bp' is a blueprint; register it with an app."),
        (
            "a = df.DFApp()\nb = func.FunctionApp()",
            "more than one function app at its top level: 'a' and 'b'",
        ),
        ("a = b = df.DFApp()", "more than one function app at its top level: 'a' and 'b'"),
    ],
)
def test_not_exactly_one_app(tmp_path: Path, body: str, sentence: str) -> None:
    imports = "import azure.durable_functions as df\nimport azure.functions as func\n"
    assert sentence in refusal(tmp_path, body, imports)


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        (
            "@app.activity_trigger(input_name='x')\ndef a(x): ...\n"
            "@app.function_name('a')\n@app.activity_trigger(input_name='x')\ndef b(x): ...\n",
            "Two functions are called 'a' (function_app.py, line 6; function_app.py, line 8). Rename one",
        ),
        (
            "@app.activity_trigger(input_name='x', activity='Same')\ndef a(x): ...\n"
            "@app.activity_trigger(input_name='x')\ndef same(x): ...\n",
            "The functions 'a' and 'same' are both the activity 'same'",
        ),
        ("@app.function_name('only')\ndef a(): ...\n", "Function only does not have a trigger"),
        ("@app.activity_trigger(input_name='x')\ndef _hidden(x): ...\n", "'_hidden' cannot be the name"),
        ("@app.activity_trigger(input_name='x')\ndef host(x): ...\n", "'host' cannot be the name"),
    ],
)
def test_names_and_triggers(tmp_path: Path, body: str, sentence: str) -> None:
    assert sentence in refusal(tmp_path, body)


ACTIVITY = "@app.activity_trigger(input_name='x')\n"
ROUTE = "@app.route(route='r')\n"


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        (ACTIVITY + "def f(y): ...", "no binding fills its parameter 'y' (its bindings are named: 'x')"),
        (ACTIVITY + "def f(x, n=1): ...", "no binding fills its parameter 'n'"),
        (ACTIVITY + "def f(x, **more): ...", "no binding fills its parameter 'more'"),
        (
            ACTIVITY + "def f(): ...",
            "its activityTrigger binding fills a parameter 'x', which it does not have",
        ),
        (ACTIVITY + "def f(x, context: str): ...", "'context', so it receives the invocation context"),
        (ACTIVITY + "def f(x: 'Nowhere'): ...", "its annotations cannot be evaluated (NameError:"),
        (
            ACTIVITY + "def f(x: str | None): ...",
            "annotated as 'str | None', which the Functions worker refuses",
        ),
        pytest.param(
            ACTIVITY + "def f(x: tuple[str, int]): ...",
            "'tuple[str, int]', which the Functions worker refuses on a binding from Python 3.11 on: write tuple,",
            marks=pytest.mark.skipif(sys.version_info < (3, 11), reason="Python 3.10 takes it for a class"),
        ),
        (
            ACTIVITY + "def f(x: func.Out[str]): ...",
            "its activityTrigger binding is an input, not a func.Out",
        ),
        (ROUTE + "def f(req: dict) -> str: ...", "'dict', which does not match its httpTrigger binding"),
        (ROUTE + "def f(req) -> dict: ...", "its return value is annotated as 'dict', which does not match"),
        (ROUTE + "def f(req) -> None: ...", "which does not match its http binding"),
        (ROUTE + "def f(req) -> str | None: ...", "'str | None', which the Functions worker refuses"),
        (
            "@app.queue_output(arg_name='out', queue_name='q', connection='c')\n"
            + ROUTE
            + "def f(req, out: str): ...",
            "queue binding is an output and must be annotated as func.Out[…]",
        ),
        (
            "@app.orchestration_trigger(context_name='ctx')\ndef f(ctx): yield",
            'context_name must be "context", not "ctx"',
        ),
        (
            "@app.entity_trigger(context_name='ctx')\ndef f(ctx): ...",
            'context_name must be "context", not "ctx"',
        ),
    ],
)
def test_signatures_that_the_real_worker_refuses(tmp_path: Path, body: str, sentence: str) -> None:
    said = refusal(tmp_path, body)
    assert said.startswith("Function 'f' cannot be loaded: ")
    assert sentence in said


@pytest.mark.parametrize(
    "body",
    [
        ACTIVITY + "def f(x: dict) -> list[str] | None: ...",  # only explicit $return bindings are strict
        ACTIVITY + "def f(x: 'typing.Dict[str, int]'): ...",
        ACTIVITY + "def f(x, context): ...",
        ACTIVITY + "def f(x, context: func.Context): ...",
        "@app.activity_trigger(input_name='context')\ndef f(context: str): ...",
        ROUTE + "async def f(req: func.HttpRequest) -> func.HttpResponse: ...",
        ROUTE + "def f(req): ...",
        ROUTE
        + "@app.durable_client_input(client_name='c')\nasync def f(req, c: df.DurableOrchestrationClient): ...",
        "@app.event_hub_message_trigger(arg_name='e', event_hub_name='h', connection='c', cardinality='many')\n"
        "def f(e: typing.List[func.EventHubEvent]): ...",
        "@app.queue_trigger(arg_name='m', queue_name='q', connection='c')\ndef f(m: str): ...",
        "@app.generic_trigger(arg_name='g', type='somethingTrigger')\ndef f(g): ...",
    ],
)
def test_signatures_that_it_takes(tmp_path: Path, body: str) -> None:
    assert load_written_app(tmp_path, "import typing\n" + body).get("f") is not None


# -- the app's own mistakes ----------------------------------------------------------------------------------
def broken(folder: Path, source: str) -> AppImportFailed:
    with pytest.raises(AppImportFailed) as caught:
        load_app(write_app(folder, source, ""))
    assert "dfhost/app" not in caught.value.traceback
    assert "importlib" not in caught.value.traceback
    return caught.value


def test_a_broken_import_shows_the_users_own_traceback(tmp_path: Path) -> None:
    (tmp_path / "helper.py").write_text("value = 1\nimport no_such_module\n")
    error = broken(tmp_path, "import os\nimport helper\n")
    assert error.traceback == (
        "Traceback (most recent call last):\n"
        f'  File "{tmp_path}/function_app.py", line 2, in <module>\n'
        "    import helper\n"
        f'  File "{tmp_path}/helper.py", line 2, in <module>\n'
        "    import no_such_module\n"
        "ModuleNotFoundError: No module named 'no_such_module'\n"
    )
    assert str(error) == (
        f"{tmp_path}/function_app.py cannot be imported: ModuleNotFoundError: No module named 'no_such_module'"
    )


def test_the_traceback_of_a_broken_import_has_no_frames_without_a_line(tmp_path: Path) -> None:
    source = """
    import os
    try:
        os.environ["NO_SUCH_SETTING"]
    except KeyError as error:
        raise RuntimeError("not configured") from error
    """
    shown = broken(tmp_path, source).traceback
    assert shown.count("Traceback (most recent call last)") == 2
    assert "KeyError: 'NO_SUCH_SETTING'" in shown and 'File "<frozen os>"' not in shown


def test_a_syntax_error_shows_its_line(tmp_path: Path) -> None:
    traceback = broken(tmp_path, "x = 1\ndef f(:\n").traceback
    assert f'File "{tmp_path}/function_app.py", line 2' in traceback
    assert "SyntaxError" in traceback


def test_an_app_that_exits_does_not_end_the_host(tmp_path: Path) -> None:
    assert "SystemExit: 3" in broken(tmp_path, "import sys\nsys.exit(3)\n").traceback


def test_after_a_failed_import_the_corrected_app_loads(tmp_path: Path) -> None:
    broken(tmp_path, "import no_such_module\n")
    assert load_written_app(
        tmp_path, "@app.activity_trigger(input_name='x')\ndef f(x): ...\n"
    ).activities.names == ["f"]


# -- what would surprise on Azure ----------------------------------------------------------------------------


def test_a_blueprint_that_is_not_registered_is_named(tmp_path: Path) -> None:
    blueprint = """
import azure.durable_functions as df
bp = df.Blueprint()

@bp.activity_trigger(input_name="x")
def charge(x: str) -> str: return x

@bp.orchestration_trigger(context_name="context")
def order(context): return 1
"""
    for name in ("orders_of_this_app", "shop_of_this_app"):
        (tmp_path / f"{name}.py").write_text(blueprint)
    (tmp_path / "shop_of_this_app.py").write_text(
        blueprint.replace("charge", "send").replace("order", "ship")
    )
    (tmp_path / "empty_of_this_app.py").write_text("import azure.functions as func\nbp = func.Blueprint()\n")
    imports = "import orders_of_this_app, shop_of_this_app, empty_of_this_app\n"
    imports += "app.register_functions(shop_of_this_app.bp)\n"
    app = load_written_app(tmp_path, imports)
    assert app.notes == [
        "The app does not have these functions, because the blueprint 'bp' of orders_of_this_app.py is not "
        "registered: charge, order. Write app.register_functions(bp) in function_app.py."
    ]
    assert [each.name for each in app.functions] == ["send", "ship"]
    app = load_written_app(
        tmp_path, imports + "from orders_of_this_app import bp\napp.register_blueprint(bp)\n"
    )
    assert app.notes == []


def test_an_object_that_is_made_when_it_is_needed_is_not_made_by_the_search_for_blueprints(
    tmp_path: Path,
) -> None:
    (tmp_path / "database_of_this_app.py").write_text(
        """
class Lazy:
    @property
    def __class__(self): raise RuntimeError("connected too early")

connection = Lazy()
"""
    )
    assert load_written_app(tmp_path, "import database_of_this_app\n").notes == []


def test_a_file_that_is_named_like_a_library_is_never_imported_and_that_is_said(tmp_path: Path) -> None:
    (tmp_path / "queue.py").write_text("raise AssertionError('imported')")
    (tmp_path / "helper_of_this_app.py").write_text("")
    app = load_written_app(tmp_path, "import queue, helper_of_this_app\nqueue.Queue()\n")
    [note] = app.notes
    assert note.startswith("The app's queue.py is never imported, because /")
    assert note.endswith("queue.py comes first, as on Azure. Rename queue.py.")


def test_an_import_that_fails_because_of_such_a_name_says_so(tmp_path: Path) -> None:
    (tmp_path / "queue.py").write_text("def take_order(): ...")
    with pytest.raises(AppImportFailed, match=r"take_order.* Rename queue\.py\.$"):
        load_written_app(tmp_path, "from queue import take_order\n")


def test_a_binding_type_that_no_bundle_has_is_named(tmp_path: Path) -> None:
    body = """
        @app.route()
        @app.generic_output_binding(arg_name="out", type="cosmos")
        def writes(req: func.HttpRequest, out: func.Out[str]) -> str: return "x"

        @app.route()
        @app.generic_output_binding(arg_name="out", type="CosmosDB")
        def right(req: func.HttpRequest, out: func.Out[str]) -> str: return "x"
    """
    assert (
        "No extension bundle has a binding of the type cosmos, so on Azure these functions do not load: writes. "
        "Check how the type is written."
    ) in load_written_app(tmp_path, body).notes


def test_a_fault_that_takes_all_functions_down_on_azure_says_so(tmp_path: Path) -> None:
    body = """
        @app.route()
        def hello(req: func.HttpRequest, extra: str) -> str: return "x"
    """
    with pytest.raises(AppError, match="On Azure the host would run without any function"):
        load_written_app(tmp_path, body)
