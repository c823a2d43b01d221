"""host.json and local.settings.json: which values are read, which take precedence, and the sentences for mistakes."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

import pytest

from dfhost.errors import SettingsError
from dfhost.settings import Settings, read_settings, set_environment_defaults
from dfhost.settings.jsonc import read_document


def app(folder: Path, host: Any = None, local: Any = None) -> Path:
    """Write the files; a str is written as it is, None not at all, anything else as JSON."""
    for name, content in (("host.json", host), ("local.settings.json", local)):
        if content is not None:
            text = content if isinstance(content, str) else json.dumps(content)
            (folder / name).write_text(text, encoding="utf-8")
    return folder


def read(folder: Path, host: Any = None, local: Any = None, **environ: str) -> Settings:
    return read_settings(app(folder, host, local), environ)


def refusal(folder: Path, host: Any = None, local: Any = None, **environ: str) -> str:
    with pytest.raises(SettingsError) as caught:
        read(folder, host, local, **environ)
    return str(caught.value)


def durable(**options: Any) -> dict[str, Any]:
    return {"version": "2.0", "extensions": {"durableTask": options}}


# -- what is read --------------------------------------------------------------------------------------------
def test_app_settings_without_effect_are_named_with_the_reason(tmp_path: Path) -> None:
    (tmp_path / "host.json").write_text('{"version": "2.0"}')
    unused = {"FUNCTIONS_WORKER_DYNAMIC_CONCURRENCY_ENABLED": "true", "PYTHON_ENABLE_WORKER_EXTENSIONS": "0"}
    values = {**unused, "MINE": "1"}
    local = {"IsEncrypted": False, "Values": values}
    (tmp_path / "local.settings.json").write_text(json.dumps(local))
    notes = read_settings(tmp_path, {"APPLICATIONINSIGHTS_CONNECTION_STRING": "x"}).notes
    assert notes == (
        "These app settings have no effect in dfhost: FUNCTIONS_WORKER_DYNAMIC_CONCURRENCY_ENABLED (the number of "
        "worker processes stays as it is), APPLICATIONINSIGHTS_CONNECTION_STRING (no telemetry is sent).",
    )


@pytest.mark.parametrize(
    ("connection", "is_told"),
    [
        ("DefaultEndpointsProtocol=https;AccountName=orders;AccountKey=a2V5", True),
        ("UseDevelopmentStorage=true", False),
        ("DefaultEndpointsProtocol=http;AccountName=devstoreaccount1;AccountKey=a2V5", False),
        ("", False),
    ],
)
def test_a_storage_account_that_is_not_touched_is_named(
    tmp_path: Path, connection: str, is_told: bool
) -> None:
    notes = read_settings(tmp_path, {"AzureWebJobsStorage": connection}).notes
    assert [note for note in notes if "AzureWebJobsStorage" in note] == is_told * [
        "These app settings have no effect in dfhost: AzureWebJobsStorage (the state is in a file, and the storage "
        "account is not touched)."
    ]


def test_an_empty_host_json_means_the_extensions_defaults(tmp_path: Path) -> None:
    settings = read(tmp_path, {"version": "2.0"})
    assert settings == Settings(has_extensions=False)
    assert (settings.hub, settings.connection, settings.route_prefix) == ("TestHubName", "Storage", "api")
    assert settings.max_activities == settings.max_orchestrators == settings.max_entities
    assert settings.max_activities % 10 == 0
    assert settings.function_timeout == 1800


def test_a_missing_host_json_is_like_an_empty_one_and_is_noted(tmp_path: Path) -> None:
    settings = read(tmp_path)
    assert settings.hub == "TestHubName"
    assert [note for note in settings.notes if "There is no host.json" in note]


def test_the_durable_options_are_read(tmp_path: Path) -> None:
    settings = read(
        tmp_path,
        AzureWebJobsMine="UseDevelopmentStorage=true",
        host={
            "version": "2.0",
            "extensionBundle": {"id": "Microsoft.Azure.Functions.ExtensionBundle"},
            "functionTimeout": "00:10:00",
            "functions": ["start", "Work"],
            "extensions": {
                "http": {"routePrefix": "/v1/"},
                "durableTask": {
                    "hubName": "MyHub",
                    "maxConcurrentActivityFunctions": 7,
                    "maxConcurrentOrchestratorFunctions": 8,
                    "maxConcurrentEntityFunctions": 9,
                    "maxEntityOperationBatchSize": 10,
                    "maxOrchestrationActions": 11,
                    "overridableExistingInstanceStates": "AnyState",
                    "storeInputsInOrchestrationHistory": True,
                    "defaultVersion": "1.2",
                    "versionMatchStrategy": "Strict",
                    "versionFailureStrategy": "Fail",
                    "storageProvider": {"type": "AzureStorage", "connectionName": "Mine"},
                    "httpSettings": {"defaultAsyncRequestSleepTimeMilliseconds": 250},
                },
            },
        },
    )
    assert settings == Settings(
        hub="MyHub",
        connection="Mine",
        max_activities=7,
        max_orchestrators=8,
        max_entities=9,
        entity_batch_size=10,
        max_actions=11,
        any_state_overridable=True,
        store_inputs=True,
        http_poll_seconds=0.25,
        default_version="1.2",
        version_match="Strict",
        version_failure="Fail",
        route_prefix="v1",
        function_timeout=600,
        functions=frozenset({"start", "Work"}),
    )


def test_keys_are_read_in_any_case_and_numbers_as_texts(tmp_path: Path) -> None:
    host = {
        "version": "2.0",
        "Extensions": {"DurableTask": {"HUBNAME": "Other", "maxOrchestrationActions": "5"}},
    }
    settings = read(tmp_path, host)
    assert (settings.hub, settings.max_actions) == ("Other", 5)


def test_comments_and_trailing_commas_are_read_as_azure_does(tmp_path: Path) -> None:
    text = (
        '{ // one\n "version": "2.0", /* two\n lines */ "extensions": {"http": {"routePrefix": "a//b",},},\n}'
    )
    text = "\ufeff" + text  # a byte order mark, as Visual Studio writes it
    assert read(tmp_path, text).route_prefix == "a//b"


def test_an_empty_route_prefix_means_none(tmp_path: Path) -> None:
    assert read(tmp_path, {"version": "2.0", "extensions": {"http": {"routePrefix": ""}}}).route_prefix == ""


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("00:00:30", 30), ("1.00:00:01", 86401), ("00:00:01.5", 1.5), ("02:03", 7380), ("-1", None), (-1, None)],
)
def test_time_spans_are_those_of_dotnet(tmp_path: Path, text: Any, seconds: float | None) -> None:
    assert read(tmp_path, {"version": "2.0", "functionTimeout": text}).function_timeout == seconds


def test_an_app_setting_wins_over_host_json(tmp_path: Path) -> None:
    name = "AzureFunctionsJobHost__extensions__durableTask__hubName"
    local = {"IsEncrypted": False, "Values": {name: "FromLocal"}}
    assert read(tmp_path, durable(hubName="FromFile"), local).hub == "FromLocal"
    assert (
        read(tmp_path, durable(hubName="FromFile"), local, **{name: "FromEnvironment"}).hub
        == "FromEnvironment"
    )


def test_a_hub_name_may_come_from_an_app_setting(tmp_path: Path) -> None:
    local = {"IsEncrypted": False, "Values": {"HUB": "Blue"}}
    assert read(tmp_path, durable(hubName="%hub%Hub"), local).hub == "BlueHub"
    assert read(tmp_path, durable(hubName="%hub%Hub"), local, HUB="Green").hub == "GreenHub"


@pytest.mark.parametrize(
    ("written", "hub"), [("%TASKHUB_NAME%", "TASKHUBNAME"), ("shop%STAGE%", "shopSTAGE"), ("%1%", "t1Hub")]
)
def test_a_missing_setting_gives_the_hub_its_own_name_and_that_is_noted(
    tmp_path: Path, written: str, hub: str
) -> None:
    settings = read(tmp_path, durable(hubName=written))
    assert settings.hub == hub
    [note] = settings.notes
    assert written in note and f'uses the name "{hub}"' in note and "no app setting" in note


def test_other_storage_providers_have_other_rules_for_the_hubs_name(tmp_path: Path) -> None:
    host = durable(hubName="TASKHUB_NAME-2", storageProvider={"type": "azureManaged"})
    assert read(tmp_path, host).hub == "TASKHUB_NAME-2"


@pytest.mark.parametrize(
    ("site", "hub"), [("my-site", "mysite"), ("7up", "t7up"), ("x", "xHub"), ("--", "DefaultTaskHub")]
)
def test_without_a_hub_name_the_site_gives_it(tmp_path: Path, site: str, hub: str) -> None:
    assert read(tmp_path, {"version": "2.0"}, WEBSITE_SITE_NAME=site).hub == hub


def test_log_levels_are_read_by_category(tmp_path: Path) -> None:
    host = {"version": "2.0", "logging": {"logLevel": {"default": "Warning", "Function.price.User": "Debug"}}}
    assert read(tmp_path, host).log_levels == {"default": 30, "function.price.user": 10}


# -- local.settings.json -------------------------------------------------------------------------------------
def test_local_settings_say_where_to_listen(tmp_path: Path) -> None:
    host = {"LocalHttpPort": 7080, "CORS": "http://a.example, http://b.example", "CORSCredentials": True}
    settings = read(tmp_path, {"version": "2.0"}, {"IsEncrypted": False, "Host": host})
    assert (settings.port, settings.cors_credentials) == (7080, True)
    assert settings.cors == ("http://a.example", "http://b.example")


def test_values_become_strings_as_in_core_tools(tmp_path: Path) -> None:
    values = {"A": "x", "B": 5, "C": True, "D": None, "E": ""}
    local = {
        "IsEncrypted": False,
        "Values": values,
        "ConnectionStrings": {"Sql": {"ConnectionString": "s"}, "T": "t"},
    }
    settings = read(tmp_path, {"version": "2.0"}, local)
    assert settings.app_settings == {
        "A": "x",
        "B": "5",
        "C": "True",
        "E": "",
        "ConnectionStrings:Sql": "s",
        "ConnectionStrings:T": "t",
    }
    assert any("D is null" in note for note in settings.notes)


def test_the_environment_wins_over_local_settings_and_that_is_noted(tmp_path: Path) -> None:
    local = {"IsEncrypted": False, "Values": {"A": "local", "B": "local", "C": "same"}}
    settings = read(tmp_path, {"version": "2.0"}, local, A="real", B="", C="same")
    assert settings.notes == ("Taken from the environment, not from local.settings.json: A.",)
    environ = {"A": "real", "B": ""}
    set_environment_defaults(settings.app_settings, environ)
    assert environ == {"A": "real", "B": "local", "C": "same"}


def test_an_encrypted_file_is_refused_with_advice(tmp_path: Path) -> None:
    text = refusal(tmp_path, {"version": "2.0"}, {"IsEncrypted": True, "Values": {"A": "c2VjcmV0"}})
    assert "local.settings.json is encrypted" in text
    assert "func settings decrypt" in text


def test_a_file_that_core_tools_takes_for_encrypted_is_read_and_noted(tmp_path: Path) -> None:
    settings = read(tmp_path, {"version": "2.0"}, {"Values": {"A": "x"}})
    assert settings.app_settings == {"A": "x"}
    assert any('lacks "IsEncrypted": false' in note for note in settings.notes)


def test_a_name_in_the_wrong_case_is_noted(tmp_path: Path) -> None:
    settings = read(tmp_path, {"version": "2.0"}, {"IsEncrypted": False, "values": {"A": "x"}})
    assert any('"values"' in note for note in settings.notes)


# -- mistakes ------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("name", ["host.json", "local.settings.json"])
@pytest.mark.parametrize(
    ("text", "line", "column", "reason"),
    [
        ("", 1, 1, "the file is empty"),
        ('{\n  "version": "2.0"\n', 3, 1, "ends too early"),
        ('{\n  "version": "2.0"\n  "extensions": {}\n}', 3, 3, "a comma"),
        ("{\n  'version': '2.0'\n}", 2, 3, "double quotes"),
        ('{\n  "version" "2.0"\n}', 2, 13, "a colon"),
        ('{\n  "version": yes\n}', 2, 14, "not a JSON value"),
        ('{"version": "2.0"}\n{', 2, 1, "more text after the end"),
        ('{"version": "2.0" /* never closed\n}', 1, 19, "no end"),
        ('{\n  "version": "2.0}', 2, 14, "unterminated string"),
        ("[" * 100_000, 1, 0, "nested too deeply"),
        ('{"version": ' + "2" * 5000 + "}", 1, 13, "too many digits"),
    ],
)
def test_broken_json_is_refused_with_line_and_column(
    tmp_path: Path, name: str, text: str, line: int, column: int, reason: str
) -> None:
    files = {"host.json": '{"version": "2.0"}', name: text}
    sentence = refusal(tmp_path, files["host.json"], files.get("local.settings.json"))
    assert f"{tmp_path / name}, line {line}, column {column or ''}" in sentence
    assert reason in sentence


@pytest.mark.parametrize(
    ("text", "line", "column", "reason"),
    [
        ('{"version": "2.0", "functionTimeout": "00:00:05", }', 1, 49, "a trailing comma"),
        ('{\n  "functions": ["a",\n  ]\n}', 2, 20, "a trailing comma"),
        ('{\n  // the version\n  "version": "2.0"\n}', 2, 3, "a comment"),
        ('{"version": /* now */ "2.0"}', 1, 13, "a comment"),
        ('\ufeff{"version": "2.0"}', 1, 1, "a byte order mark"),
    ],
)
def test_what_the_sdk_cannot_read_is_refused_where_it_reads_the_file(
    tmp_path: Path, text: str, line: int, column: int, reason: str
) -> None:
    file = app(tmp_path, text) / "host.json"
    assert read_document(file) is not None
    with pytest.raises(SettingsError) as caught:
        read_document(file, strict=True)
    assert str(caught.value).startswith(f"{file}, line {line}, column {column}: not valid JSON: {reason}; ")
    with pytest.raises(ValueError):  # as azure-functions-durable reads it
        json.loads(text)


@pytest.mark.parametrize(
    ("host", "said"),
    [
        ([], "one JSON object"),
        ({"extensions": {}}, '"version" is missing'),
        ({"version": "3.0"}, "'3.0'; it has to be \"2.0\""),
        ({"version": "2.0", "extensions": "durableTask"}, "extensions has to be an object"),
        (durable(hubName=5), "extensions.durableTask.hubName has to be a string, not 5"),
        (durable(hubName={"name": "x"}), "extensions.durableTask.hubName has to be a single value"),
        (durable(hubName="my-hub"), '"my-hub"; it has to be 3 to 45 letters and digits'),
        (durable(hubName="7up"), "a letter first"),
        (durable(hubName="x" * 46), "3 to 45"),
        (durable(hubName="my hub", storageProvider={"type": "azureManaged"}), "letters, digits, - and _"),
        (
            durable(maxConcurrentActivityFunctions=0),
            "maxConcurrentActivityFunctions has to be a whole number",
        ),
        (durable(maxConcurrentActivityFunctions="ten"), 'not "ten"'),
        (durable(maxConcurrentActivityFunctions=True), "not true"),
        (durable(maxConcurrentActivityFunctions=1.5), "not 1.5"),
        (durable(maxConcurrentActivityFunctions=[1]), "has to be a single value"),
        (durable(maxConcurrentActivityFunctions=[]), "not []"),
        (durable(storeInputsInOrchestrationHistory="maybe"), '"true"'),
        (durable(overridableExistingInstanceStates="Any"), '"NonRunningStates" or "AnyState"'),
        ({"version": "2.0", "functionTimeout": "ten minutes"}, "functionTimeout has to be a time span"),
        ({"version": "2.0", "functionTimeout": "00:00:00"}, "at least a second"),
        (
            {"version": "2.0", "logging": {"logLevel": {"default": "Loud"}}},
            "logging.logLevel.default has to be",
        ),
        ({"version": "2.0", "logging": {"logLevel": "Debug"}}, "logging.logLevel has to be an object"),
    ],
)
def test_a_wrong_value_is_refused_with_file_line_and_key(tmp_path: Path, host: Any, said: str) -> None:
    sentence = refusal(tmp_path, json.dumps(host, indent=1))
    assert str(tmp_path / "host.json") + ", line " in sentence
    assert said in sentence
    assert "\n" not in sentence


def test_the_line_is_that_of_the_value(tmp_path: Path) -> None:
    sentence = refusal(tmp_path, '{\n"version": "2.0",\n"extensions": {"durableTask": {\n"hubName": 5}}}')
    assert "host.json, line 4: extensions.durableTask.hubName" in sentence


def test_a_wrong_override_is_refused_by_its_name(tmp_path: Path) -> None:
    name = "AzureFunctionsJobHost__extensions__durableTask__maxOrchestrationActions"
    assert f"app setting {name}" in refusal(tmp_path, {"version": "2.0"}, **{name: "many"})


@pytest.mark.parametrize(
    ("local", "said"),
    [
        ({"Values": ["A"]}, "Values has to be an object"),
        ({"Values": {"A": {"B": 1}}}, "Values.A has to be a string"),
        ({"Values": {"KEY=value": ""}}, '"KEY=value" cannot be the name of an app setting'),
        ({"Values": {"half \ud800": ""}}, '"half \\ud800" cannot be the name of an app setting'),
        ({"ConnectionStrings": {"A=B": "x"}}, '"A=B" cannot be the name of an app setting'),
        ({"Values": {"A": "zero \0"}}, "Values.A has a character that no app setting can have"),
        ({"Host": {"LocalHttpPort": "x"}}, "Host.LocalHttpPort has to be a port"),
        ({"Host": {"LocalHttpPort": 70000}}, "Host.LocalHttpPort has to be a port"),
        ({"Host": {"CORS": ["*"]}}, "Host.CORS has to be a string"),
        ({"ConnectionStrings": {"S": {"ConnectionString": []}}}, "ConnectionStrings.S.ConnectionString"),
    ],
)
def test_wrong_local_settings_are_refused_with_file_line_and_key(
    tmp_path: Path, local: Any, said: str
) -> None:
    sentence = refusal(tmp_path, {"version": "2.0"}, local)
    assert str(tmp_path / "local.settings.json") + ", line " in sentence
    assert said in sentence


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read everything")
def test_an_unreadable_file_is_refused(tmp_path: Path) -> None:
    app(tmp_path, {"version": "2.0"})
    (tmp_path / "host.json").chmod(0)
    assert "cannot be read: Permission denied" in refusal(tmp_path)


def test_a_binary_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "host.json").write_bytes(b"\xff\xfe{\x00")
    assert "host.json is not UTF-8 text" in refusal(tmp_path)


# -- what stops a real host -----------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (
            {"extendedSessionsEnabled": True},
            "Durable Functions with extendedSessionsEnabled set to 'true' is only",
        ),
        ({"localRpcEndpointEnabled": False}, "every call of a durable client fails on a real host"),
        (
            {"storageProvider": {"type": "nosuch"}},
            "Storage provider type (nosuch) was not found. Available storage providers: AzureStorage.",
        ),
        (
            {"storageProvider": {"connectionName": "Nosuch"}},
            "Unable to resolve the Azure Storage connection named 'Nosuch'.",
        ),
    ],
)
def test_what_stops_a_real_host_stops_dfhost_in_its_words(
    tmp_path: Path, options: dict[str, Any], sentence: str
) -> None:
    said = refusal(tmp_path, durable(**options))
    assert sentence in said
    assert re.match(r".*host\.json, line \d+: ", said)


@pytest.mark.parametrize(
    ("name", "environ"),
    [
        ("AzureWebJobsStorage", {}),
        ("Mine", {"Mine": "x"}),
        ("Mine", {"AzureWebJobsMine": "x"}),
        ("Mine", {"MINE__accountName": "x"}),
        ("Mine", {"ConnectionStrings__Mine": "x"}),
    ],
)
def test_a_connection_is_found_where_the_host_looks(
    tmp_path: Path, name: str, environ: dict[str, str]
) -> None:
    settings = read(tmp_path, durable(storageProvider={"connectionName": name}), **environ)
    assert settings.connection == name


@pytest.mark.parametrize(
    ("host", "file", "found"),
    [
        ({"version": "2.0"}, None, False),
        (None, None, True),
        ({"version": "2.0"}, "extensions.csproj", True),
        ({"version": "2.0", "extensionBundle": {"id": "x"}}, None, True),
    ],
)
def test_whether_a_real_host_would_have_extensions(
    tmp_path: Path, host: Any, file: str | None, found: bool
) -> None:
    if file:
        (tmp_path / file).touch()
    assert read(tmp_path, host).has_extensions is found


# -- what is not honoured ------------------------------------------------------------------------------------
def test_ignored_settings_that_matter_are_kept_apart_from_those_that_do_not(tmp_path: Path) -> None:
    host = {
        "version": "2.0",
        "logging": {"applicationInsights": {"samplingSettings": {"isEnabled": True}}},
        "extensionBundle": {"id": "x", "version": "[4.*, 5.0.0)"},
        "customHandler": {"description": {}},
        "extensions": {
            "serviceBus": {"prefetchCount": 1},
            "http": {"customHeadders": {"X-A": "1"}},
            "durableTask": {
                "tracing": {"traceInputsAndOutputs": True},
                "storageProvider": {"partitionCount": 8},
                "maxConcurentActivityFunctions": 3,
            },
        },
    }
    settings = read(tmp_path, host)
    assert set(settings.without_effect) == {
        "logging.applicationInsights.samplingSettings.isEnabled",
        "extensions.serviceBus.prefetchCount",
        "extensions.durableTask.tracing.traceInputsAndOutputs",
        "extensions.durableTask.storageProvider.partitionCount",
    }
    (note,) = settings.notes
    assert "extensions.http.customHeadders.X-A" in note
    assert "did you mean extensions.durableTask.maxConcurrentActivityFunctions?" in note
    assert "partitionCount" not in note


def test_another_storage_provider_is_noted(tmp_path: Path) -> None:
    settings = read(tmp_path, durable(storageProvider={"type": "netherite"}))
    assert any("netherite" in note and "SQLite" in note for note in settings.notes)


# -- extensions.http -----------------------------------------------------------------------------------------
def test_limits_and_headers_of_the_front(tmp_path: Path) -> None:
    def http(**values: Any) -> Any:
        return {"version": "2.0", "extensions": {"http": values}}

    settings = read(tmp_path, http(maxOutstandingRequests=2, maxConcurrentRequests="-1"))
    assert (settings.max_outstanding_requests, settings.max_concurrent_requests) == (2, None)
    settings = read(tmp_path, http(customHeaders={"X-A": "1", "Referrer.Policy": "no"}))
    assert settings.custom_headers == (("X-A", "1"), ("Referrer.Policy", "no"))
    assert settings.max_outstanding_requests is None
    sentence = refusal(tmp_path, http(customHeaders={"X-A": "grün"}))
    assert "has to be ASCII text without control characters" in sentence
