"""The extension's HTTP API, black box: a real `dfhost start`, real requests, the codes and shapes recorded."""

from __future__ import annotations

import json
import logging
import re
import time
from collections.abc import Iterator
from functools import partial
from typing import Any
from urllib.parse import quote

import pytest

from dfhost.management.api import ManagementApi
from tests.support.apps import APPS
from tests.support.host_process import HostProcess
from tests.support.http_client import MANAGEMENT, HttpClient, Response
from tests.support.waiting import until

JSON = "application/json; charset=utf-8"
LINKS = [
    "id",
    "statusQueryGetUri",
    "sendEventPostUri",
    "terminatePostUri",
    "purgeHistoryDeleteUri",
    "restartPostUri",
    "suspendPostUri",
    "resumePostUri",
]
STATUS = [
    "name",
    "instanceId",
    "runtimeStatus",
    "input",
    "customStatus",
    "output",
    "createdTime",
    "lastUpdatedTime",
]


class Api(HttpClient):
    """Requests to the management API; paths without its prefix, bodies as bytes."""

    def __call__(
        self, method: str, path: str, body: bytes | None = None, type: str | None = None, **headers: str
    ) -> Response:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        path = path.removeprefix(self.url)
        return self.request(method, path if path.startswith("/r") else MANAGEMENT + path, body, type, named)

    def new(self, orchestrator: str, instance_id: str = "", body: bytes | None = None) -> str:
        """The id of a new instance whose input is sent as it is."""
        response = self("POST", f"/orchestrators/{orchestrator}/{quote(instance_id, safe='')}", body)
        assert response.status == 202, response
        return str(response.body["id"])

    def reaches(self, instance_id: str, status: str) -> dict[str, Any]:
        """The instance, once it has this runtime status."""
        return self.until(instance_id, lambda shown: shown["runtimeStatus"] == status)

    def event(self, instance_id: str, body: bytes, type: str = "application/json") -> Response:
        return self("POST", f"/instances/{quote(instance_id, safe='')}/raiseEvent/go", body, type)


@pytest.fixture(scope="module")
def host() -> Iterator[HostProcess]:
    with HostProcess(APPS / "api", "--memory", "--in-process") as host:
        yield host


@pytest.fixture(scope="module")
def api(host: HostProcess) -> Api:
    return Api(host.url)


@pytest.fixture(scope="module")
def empty_api() -> Iterator[Api]:
    """A host for requests about all instances or all entities: no test leaves any that the next one would see."""
    with HostProcess(APPS / "api", "--memory", "--in-process") as host:
        yield Api(host.url)


# -- starting -----------------------------------------------------------------------------------------------------
def test_a_start_answers_with_eight_links_and_each_of_them_leads_somewhere(api: Api) -> None:
    answer = api("POST", "/orchestrators/waits")

    assert answer.status == 202
    assert list(answer.body) == LINKS
    assert answer.headers["Content-Type"] == JSON
    assert answer.headers["Location"] == answer.body["statusQueryGetUri"]
    assert answer.headers["Retry-After"] == "10"
    assert answer.body["statusQueryGetUri"] == (
        f"{api.url}{MANAGEMENT}/instances/{answer.body['id']}?taskHub=TestHubName&connection=Storage"
    )
    links = {name: link.format(eventName="none", text="why") for name, link in answer.body.items()}
    assert api("GET", links["statusQueryGetUri"]).status == 202
    assert api("POST", links["sendEventPostUri"], b"1", "application/json").plain == (202, None)
    assert api("POST", links["suspendPostUri"]).plain == (202, None)
    api.reaches(links["id"], "Suspended")
    assert api("POST", links["resumePostUri"]).plain == (202, None)
    assert api("POST", links["terminatePostUri"]).plain == (202, None)
    assert api.reaches(links["id"], "Terminated")["output"] == "why"
    assert api("POST", links["restartPostUri"]).status == 202
    assert api("DELETE", links["purgeHistoryDeleteUri"]).plain == (200, {"instancesDeleted": 1})
    assert api("GET", links["statusQueryGetUri"]).plain == (404, None)


@pytest.mark.parametrize(
    ("body", "shown"),
    [
        (b' { "a" : 1.0, "n": 1180591620717411303424 } ', {"a": 1.0, "n": 2**70}),
        (b'"Tokyo"', "Tokyo"),
        (b"[1, 2]", [1, 2]),
        (b"null", None),
        (b"", None),
        (b"   ", ""),
        ("\ufeff7".encode(), 7),
        (b'"\xff"', "\ufffd"),
    ],
)
def test_the_body_is_the_input(api: Api, body: bytes, shown: Any) -> None:
    assert api("GET", f"/instances/{api.new('waits', body=body)}").body["input"] == shown


@pytest.mark.parametrize("type", [None, "text/plain", "multipart/form-data; boundary=x"])
def test_the_content_type_of_a_start_does_not_count(api: Api, type: str | None) -> None:
    started = api("POST", "/orchestrators/waits", b'{"a":1}', type)

    assert api("GET", f"/instances/{started.body['id']}").body["input"] == {"a": 1}


@pytest.mark.parametrize("body", [b"{bad", b"hello", b'{"a":1}{"b":2}', b"NaN", b"{'a':1}", b"/*c*/{}"])
def test_an_input_that_is_not_json_starts_nothing(api: Api, body: bytes) -> None:
    answer = api("POST", "/orchestrators/waits/never", body)

    assert answer.status == 400
    assert list(answer.body) == ["Message", "ExceptionMessage", "ExceptionType", "StackTrace"]
    assert answer.body["Message"] == "Invalid JSON content"
    assert answer.body["ExceptionType"] == "Newtonsoft.Json.JsonReaderException"
    assert "line" in answer.body["ExceptionMessage"]
    assert api("GET", "/instances/never").status == 404


def test_an_input_that_ends_too_soon_is_the_extensions_500(api: Api) -> None:
    answer = api("POST", "/orchestrators/waits", b'{"a":')

    assert answer.status == 500
    assert answer.body["ExceptionMessage"] == (
        "Unexpected end when deserializing object. Path 'a', line 1, position 5."
    )
    assert answer.body["ExceptionType"] == "Newtonsoft.Json.JsonSerializationException"


def test_the_id_of_a_running_instance_is_refused_and_that_of_an_ended_one_reused(api: Api) -> None:
    api.new("waits", "taken", b"1")
    api.reaches("taken", "Running")

    refused = api("POST", "/orchestrators/waits/taken")
    api("POST", "/instances/taken/terminate")
    api.new("returns", "taken", b'"2"')

    assert refused.plain == (
        409,
        {"Message": "An Orchestration instance with the status Running already exists."},
    )
    assert api.reaches("taken", "Completed")["output"] == 2


ODD_IDS = [
    "a b",
    "é☃漢",
    "100%",
    "it's",
    'q"q',
    "@cell",
    "a@b",
    "a\\b",
    "a#b",
    "a?b",
    "a:b",
    "a\tb",
    "x" * 300,
]


@pytest.mark.parametrize("instance_id", ODD_IDS)
def test_any_id_without_a_slash_works_throughout(api: Api, instance_id: str) -> None:
    started = api("POST", f"/orchestrators/waits/{quote(instance_id, safe='')}")

    assert started.body["id"] == instance_id
    assert api("GET", started.headers["Location"]).body["instanceId"] == instance_id
    assert api.event(instance_id, b'"seen"').status == 202
    assert api.reaches(instance_id, "Completed")["output"] == "seen"
    assert api("DELETE", started.body["purgeHistoryDeleteUri"]).plain == (200, {"instancesDeleted": 1})


def test_a_plus_and_an_encoded_percent_are_decoded_twice(api: Api) -> None:
    assert api("POST", "/orchestrators/waits/plus+%2B%2520").body["id"] == "plus   "
    assert api("POST", "/orchestrators/waits/a%2Fb").plain == (404, None)


# -- waiting ------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("body", "output"), [(b'"{\\"a\\": [1]}"', {"a": [1]}), (b"", None), (b'"\\"s\\""', "s")]
)
def test_a_start_that_waits_answers_with_the_bare_output(api: Api, body: bytes, output: Any) -> None:
    answer = api("POST", "/orchestrators/returns?timeout=9&pollingInterval=0.5", body)

    assert answer.plain == (200, output)
    assert answer.headers["Content-Type"] == JSON


def test_a_failure_is_waited_for_and_is_no_error_of_the_request(api: Api) -> None:
    answer = api(
        "POST", "/orchestrators/fails?timeout=9&pollingInterval=1&returnInternalServerErrorOnFailure=true"
    )

    assert answer.status == 200
    assert list(answer.body) == STATUS
    assert answer.body["output"] == "Orchestrator function 'fails' failed: it fails"


@pytest.mark.parametrize(
    "query",
    [
        "timeout=0.1&pollingInterval=0.1",
        "timeout=9",
        "pollingInterval=1",
        "timeout=soon&pollingInterval=1",
        "timeout=0&pollingInterval=0",
        "timeout=-1&pollingInterval=-2",
    ],
)
def test_a_start_that_is_not_waited_for_or_takes_too_long_answers_with_links(api: Api, query: str) -> None:
    answer = api("POST", f"/orchestrators/waits?{query}")

    assert answer.status == 202
    assert list(answer.body) == LINKS


def test_an_interval_longer_than_the_timeout_is_refused(api: Api) -> None:
    answer = api("POST", "/orchestrators/returns?timeout=1&pollingInterval=5.5")

    assert answer.plain == (400, {"Message": "Total timeout 1 should be bigger than retry timeout 5.5"})


# -- status -------------------------------------------------------------------------------------------------------
def test_a_running_instance_is_accepted_with_its_own_url(api: Api) -> None:
    path = f"/instances/{api.new('steps', 'my steps', b'1')}?showInput=true".replace(" ", "%20")

    answer = until(lambda: api("GET", path), lambda answer: answer.body["customStatus"] is not None)

    assert answer.status == 202
    assert list(answer.body) == STATUS
    assert answer.headers["Location"] == api.url + MANAGEMENT + path
    assert answer.headers["Retry-After"] == "5"
    assert answer.headers["Content-Type"] == JSON
    assert answer.body["name"] == "steps"
    assert answer.body["customStatus"] == {"at": "the gate"}
    assert answer.body["output"] is None
    time.strptime(answer.body["createdTime"], "%Y-%m-%dT%H:%M:%SZ")


def test_a_failed_instance_is_a_success_unless_asked_otherwise(api: Api) -> None:
    failed = api.new("fails")
    api.reaches(failed, "Failed")

    assert api("GET", f"/instances/{failed}").status == 200
    for flag, status in (("true", 500), ("True", 500), ("maybe", 200), ("false", 200)):
        answer = api("GET", f"/instances/{failed}?returnInternalServerErrorOnFailure={flag}")
        assert answer.status == status
        assert answer.body["output"] == "Orchestrator function 'fails' failed: it fails"
        assert "Location" not in answer.headers


def test_flags_choose_what_is_shown(api: Api) -> None:
    steps = api.new("steps", body=b'{"some": "input"}')
    # The event after the activity's result, or their places in the history would be a matter of luck.
    until(
        lambda: api("GET", f"/instances/{steps}?showHistory=true").body.get("historyEvents") or [],
        lambda events: any(event["EventType"] == "TaskCompleted" for event in events),
    )
    api.event(steps, b'{"by" : "me"}')
    api.reaches(steps, "Completed")

    def seen(query: str) -> dict[str, Any]:
        return dict(api("GET", f"/instances/{steps}?{query}").body)

    assert "historyEvents" not in seen("showHistoryOutput=true")
    assert "historyEvents" not in seen("showHistory=yes")
    assert "historyEvents" not in seen("showHistory=false&showHistory=true")
    assert seen("showInput=false")["input"] is None
    short = seen("SHOWHISTORY=%20TRUE%20&showInput=false")["historyEvents"]
    full = seen("showHistory=true&showHistoryOutput=true")["historyEvents"]
    types = ["ExecutionStarted", "TaskCompleted", "EventRaised", "ExecutionCompleted"]
    assert [event["EventType"] for event in short] == types
    assert [event["EventType"] for event in full] == types
    assert not any("Input" in event or "Result" in event for event in short)
    assert full[0]["Input"] == '{"some": "input"}'
    assert full[1]["Result"] == {"n": 1.0}
    assert full[2]["Input"] == '{"by":"me"}'
    assert full[3]["Result"] == {"by": "me"}


def test_an_unknown_instance_is_not_found_by_any_verb(api: Api) -> None:
    for method, path in [
        ("GET", ""),
        ("DELETE", ""),
        ("POST", "/terminate"),
        ("POST", "/suspend"),
        ("POST", "/resume"),
        ("POST", "/raiseEvent/go"),
        ("GET", "?explain=true"),
    ]:
        answer = api(method, f"/instances/nobody{path}")
        assert answer.plain == (404, None), path
        assert "Content-Type" not in answer.headers
    assert api("POST", "/instances/nobody/rewind").plain == (
        404,
        'No orchestration with instance ID "$nobody" found.',
    )
    answer = api("POST", "/instances/nobody/restart")
    assert answer.status == 400
    assert answer.body["Message"] == "InstanceId does not match a valid orchestration instance."
    assert answer.body["ExceptionMessage"] == (
        "No instance with ID 'nobody' was found. (Parameter 'instanceId')"
    )


def test_a_waiting_instance_says_what_it_waits_for(api: Api) -> None:
    waits = api.new("waits")
    api.reaches(waits, "Running")

    explained = api("GET", f"/instances/{waits}?explain=true")

    assert explained.status == 200
    assert "go" in json.dumps(explained.body["waitsFor"])


# -- lists --------------------------------------------------------------------------------------------------------
def test_pages_lead_through_the_whole_list(api: Api) -> None:
    ids = [api.new("returns", f"page-{n}") for n in range(5)]
    for each in ids:
        api.reaches(each, "Completed")
    seen, token, rounds = [], None, 0
    while rounds == 0 or token:
        answer = api("GET", "/instances?instanceIdPrefix=page-&top=2", x_ms_continuation_token=token or "")
        seen += [instance["instanceId"] for instance in answer.body]
        token, rounds = answer.headers.get("x-ms-continuation-token"), rounds + 1

    assert (seen, rounds) == (ids, 3)
    empty = api("GET", "/instances?instanceIdPrefix=page-&top=0")
    assert empty.body == [] and empty.headers["x-ms-continuation-token"]
    rubbish = api("GET", "/instances?instanceIdPrefix=page-", x_ms_continuation_token="rubbish")
    assert (rubbish.plain, "x-ms-continuation-token" in rubbish.headers) == ((200, []), False)
    assert api("GET", "/instances?top=-1").status == 500


def test_filters_are_all_applied(api: Api) -> None:
    for name, label in (("returns", "done"), ("fails", "bad"), ("waits", "live")):
        api.new(name, f"list-{label}", b'"1"')
    api.reaches("list-done", "Completed")
    api.reaches("list-bad", "Failed")
    api.reaches("list-live", "Running")

    def listed(query: str) -> list[str]:
        answer = api("GET", f"/instances/?instanceIdPrefix=list-&{query}")
        assert answer.status == 200
        return [instance["instanceId"].removeprefix("list-") for instance in answer.body]

    assert listed("runtimeStatus=Completed,Failed") == ["bad", "done"]
    assert listed("runtimeStatus=Completed&runtimeStatus=Running") == ["done", "live"]
    assert listed("runtimeStatus=completed") == ["bad", "done", "live"]  # unknown names filter nothing
    assert listed("runtimeStatus=1") == ["done"]
    assert listed("createdTimeFrom=2999-01-01T00:00:00Z") == []
    assert listed("createdTimeTo=2000-01-01") == []
    assert listed("createdTimeFrom=yesterday&top=many") == ["bad", "done", "live"]
    assert [i["input"] for i in api("GET", "/instances?instanceIdPrefix=list-&showInput=false").body] == [
        None
    ] * 3
    assert "historyEvents" not in api("GET", "/instances?instanceIdPrefix=list-&showHistory=true").body[0]


# -- steering -----------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("body", "output"),
    [
        (b"1180591620717411303424", 2**70),
        (b"1e300", 1e300),
        (b"null", None),
        (b'"2024-05-06T07:08:09.1200000Z"', "2024-05-06T07:08:09.1200000Z"),
        (b' {"a" : "\\u00fc \\u2603"} ', {"a": "ü ☃"}),
        (b'{"$type":"System.String","v":1}', {"$type": "System.String", "v": 1}),
    ],
)
def test_events_arrive_as_they_were_sent(api: Api, body: bytes, output: Any) -> None:
    waits = api.new("waits")

    assert api.event(waits, body).plain == (202, None)
    assert api.reaches(waits, "Completed")["output"] == output


def test_events_that_are_not_json_are_refused(api: Api) -> None:
    waits = api.new("waits")
    wrong = (400, {"Message": "Only application/json request content is supported"})

    for type in ("text/plain", "text/json", "application/problem+json", ""):
        assert api.event(waits, b'"v"', type).plain == wrong
    for body in (b"", b"  ", b"+1", b"{oops", b"1 2", b"undefined"):
        answer = api.event(waits, body)
        assert (answer.status, answer.body["Message"]) == (400, "Invalid JSON content")
    assert api.event(waits, b'"v"', "APPLICATION/JSON; charset=utf-8").status == 202
    api.reaches(waits, "Completed")
    assert api.event(waits, b"{oops", "text/plain").plain == (410, None)  # the 410 comes before the bad body


def test_an_ended_instance_refuses_every_verb(api: Api) -> None:
    done = api.new("returns")
    api.reaches(done, "Completed")

    for verb in ("terminate", "suspend", "resume", "raiseEvent/go"):
        assert api("POST", f"/instances/{done}/{verb}", b"1", "application/json").plain == (410, None)
    assert api("POST", f"/instances/{done}/rewind").plain == (
        412,
        'This orchestration has status Completed, but only orchestrations in the "Failed" state can be rewound.',
    )


def test_suspending_twice_and_resuming_a_running_instance_are_errors(api: Api) -> None:
    waits = api.new("waits")
    api.reaches(waits, "Running")

    def refused(verb: str) -> tuple[int, str, str]:
        answer = api("POST", f"/instances/{waits}/{verb}")
        return answer.status, answer.body["ExceptionMessage"], answer.body["ExceptionType"]

    kind = "System.InvalidOperationException"
    words = f"orchestration instance {waits} because instance is in the"
    assert refused("resume") == (500, f"Cannot resume the {words} Running state.", kind)
    assert api("POST", f"/instances/{waits}/SUSPEND?reason=hold+on").status == 202
    assert api.reaches(waits, "Suspended")["output"] == "hold on"
    assert refused("suspend") == (500, f"Cannot suspend the {words} Suspended state.", kind)


@pytest.mark.parametrize(
    ("query", "output"),
    [
        ("", None),
        ("?reason=", ""),
        ("?reason=a%20b+c", "a b c"),
        ("?reason=5", 5),
        ("?reason=%7B%22a%22%3A1%7D", {"a": 1}),
        ("?reason=a&REASON=b", "a,b"),
        ("?reason=100%25", "100%"),
        ("?reason=2024-05-06T07:08:09Z", "2024-05-06T07:08:09Z"),
    ],
)
def test_a_reason_is_the_output_and_json_if_it_can_be(api: Api, query: str, output: Any) -> None:
    waits = api.new("waits")

    assert api("POST", f"/instances/{waits}/terminate{query}").plain == (202, None)
    assert api.reaches(waits, "Terminated")["output"] == output


def test_a_failed_instance_can_be_rewound(api: Api) -> None:
    failed = api.new("fails")
    api.reaches(failed, "Failed")

    assert api("POST", f"/instances/{failed}/rewind?reason=again").plain == (202, None)


def test_a_restart_keeps_name_and_input(api: Api) -> None:
    api.new("waits", "first", b' {"n": 1.0} ')
    api.reaches("first", "Running")

    refused = api("POST", "/instances/first/restart?restartWithNewInstanceId=false")
    fresh = api("POST", "/instances/first/restart")
    api("POST", "/instances/first/terminate")
    same = api("POST", "/instances/first/restart?restartWithNewInstanceId=false")

    assert refused.status == 409
    assert refused.body["Message"] == "A non-terminal instance with this instance ID already exists."
    assert refused.body["ExceptionType"] == "DurableTask.Core.Exceptions.OrchestrationAlreadyExistsException"
    assert (fresh.status, list(fresh.body)) == (202, LINKS)
    assert fresh.body["id"] != "first"
    assert (same.status, same.body["id"]) == (202, "first")
    for each in ("first", fresh.body["id"]):
        status = api.reaches(each, "Running")
        assert (status["name"], status["input"]) == ("waits", {"n": 1.0})


# -- purging ------------------------------------------------------------------------------------------------------
def test_only_an_ended_instance_is_purged_by_id(api: Api) -> None:
    waits = api.new("waits")
    api.reaches(waits, "Running")

    live = api("DELETE", f"/instances/{waits}")
    api("POST", f"/instances/{waits}/terminate")

    assert live.plain == (
        412,
        "Only orchestrations in a terminal state can be purged, but the orchestration with instance ID "
        f"{waits} has status Running",
    )
    assert api("DELETE", f"/instances/{waits}").plain == (200, {"instancesDeleted": 1})
    assert api("DELETE", f"/instances/{waits}").plain == (404, None)


def test_purging_by_filter_needs_a_date_and_finds_ended_instances(empty_api: Api) -> None:
    api = empty_api
    done, failed, live = api.new("returns"), api.new("fails"), api.new("waits")
    api.reaches(done, "Completed")
    api.reaches(failed, "Failed")
    api.reaches(live, "Running")

    def purge(query: str) -> tuple[int, Any]:
        return api("DELETE", f"/instances?{query}").plain

    since = "createdTimeFrom=2000-01-01T00:00:00Z"
    assert purge("createdTimeFrom=yesterday") == (
        400,
        "Please provide value for 'createdTimeFrom' parameter.",
    )
    assert purge(f"{since}&createdTimeTo=2000-01-02") == (404, None)
    assert purge(f"{since}&runtimeStatus=Running,Failed") == (200, {"instancesDeleted": 1})
    assert purge(f"{since}&runtimeStatus=Completed&instanceIdPrefix=ignored") == (
        200,
        {"instancesDeleted": 1},
    )
    assert api("GET", f"/instances/{live}").status == 202
    assert purge(f"{since}&runtimeStatus=Running") == (200, {"instancesDeleted": 1})  # no filter at all
    assert api("GET", f"/instances/{live}").status == 404


# -- entities -----------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("body", "type", "state"),
    [
        (b'"5"', "application/json", 5),
        (b'"\\"text\\""', "application/json", "text"),
        (b"5", "text/plain", 5),
        (b'{"a":1}', None, {"a": 1}),
        ('"ü☃"'.encode(), "text/plain", "ü☃"),
    ],
)
def test_a_signal_carries_json_or_text(api: Api, body: bytes, type: str | None, state: Any) -> None:
    key = f"{body.hex()}-{(type or 'none').partition('/')[0]}"

    assert api("POST", f"/entities/CELL/{key}?op=set", body, type).plain == (202, None)
    read = until(lambda: api("GET", f"/entities/cell/{key}"), lambda answer: answer.status == 200)

    assert read.body == state
    assert read.headers["Content-Type"] == JSON


def test_a_wrong_signal_is_refused_with_the_reason(api: Api) -> None:
    known = "Additional info: The following are the known entity functions: 'cell'."
    unknown = f"The function 'nobody' doesn't exist, is disabled, or is not an entity function. {known}"
    bad = "Unexpected end while parsing unquoted property name. Path '', line 1, position 5."

    for method in ("POST", "DELETE"):
        assert api(method, "/entities/Nobody/k?op=set").plain == (400, {"Message": unknown})
    assert api("POST", "/entities/cell/k?op=set", b"{oops", "application/json").plain == (
        400,
        {"Message": f"Could not parse JSON content: {bad}"},
    )
    assert api("POST", "/entities/cell/a%23b?op=set").plain == (
        400,
        {"Message": "Entity keys must not contain /, \\, #, ?, or control characters."},
    )
    assert api("PUT", "/entities/cell/k?op=set").plain == (404, None)
    assert api("GET", "/entities/cell/never").plain == (404, None)
    assert api("GET", "/entities/nobody/k").plain == (404, None)


def test_entities_are_listed_in_pages(empty_api: Api) -> None:
    api = empty_api
    for key in ("a", "b", "c"):
        api(
            "POST",
            f"/entities/cell/{key}?op=set",
            f'"{{\\"k\\": \\"{key}\\"}}"'.encode(),
            "application/json",
        )
        until(partial(api, "GET", f"/entities/cell/{key}"), lambda answer: answer.status == 200)

    first = api("GET", "/entities?top=2")
    token = first.headers["x-ms-continuation-token"]
    rest = api("GET", "/entities/CELL/?top=2&fetchState=true", x_ms_continuation_token=token)

    assert [list(entity) for entity in first.body] == [["entityId", "lastOperationTime", "state"]] * 2
    assert [(e["entityId"], e["state"]) for e in first.body] == [
        ({"name": "cell", "key": "a"}, None),
        ({"name": "cell", "key": "b"}, None),
    ]
    assert [(e["entityId"]["key"], e["state"]) for e in rest.body] == [("c", {"k": "c"})]
    assert "x-ms-continuation-token" not in rest.headers
    assert api("GET", "/entities/nobody").body == []
    assert api("GET", "/entities?lastOperationTimeFrom=2999-01-01").body == []
    assert len(api("GET", "/entities?lastOperationTimeTo=2999-01-01").body) == 3
    instance = api("GET", "/instances/%40cell%40a").body
    assert instance["input"] == {"exists": True, "state": '{"k": "a"}', "sorter": {}}
    assert instance["customStatus"] == {"entityExists": True}
    assert api("DELETE", "/instances/%40cell%40a").plain == (200, {"instancesDeleted": 1})


def test_a_destroyed_entity_reads_as_null(api: Api) -> None:
    api("POST", "/entities/cell/destroyed?op=set", b'"1"', "application/json")
    until(lambda: api("GET", "/entities/cell/destroyed").body, lambda state: state == 1)

    assert api("DELETE", "/entities/cell/destroyed").plain == (202, None)
    until(lambda: api("GET", "/entities/cell/destroyed").plain, lambda plain: plain == (200, None))


# -- routes -------------------------------------------------------------------------------------------------------
def test_an_unknown_route_is_a_404_without_a_body(api: Api) -> None:
    waits = api.new("waits")
    for method, path in [
        *((method, f"/instances/{waits}") for method in ("HEAD", "OPTIONS", "PUT", "PATCH", "POST")),
        ("GET", ""),
        ("GET", "/nothing"),
        ("GET", "/orchestrators/waits"),
        ("POST", "/orchestrators"),
        ("POST", "/orchestrators/waits/id/more"),
        ("GET", f"/instances/{waits}/terminate"),
        ("POST", f"/instances/{waits}/nothing"),
        ("POST", f"/instances/{waits}/raiseEvent"),
        ("POST", f"/instances/{waits}/raiseEvent/"),
        ("GET", f"/instances/{waits}/a/b/c"),
        ("PUT", "/instances"),
        ("GET", f"/instances//{waits}"),
        ("GET", "/entities/a/b/c"),
    ]:
        answer = api(method, path)
        assert (answer.status, answer.text) == (404, ""), (method, path)
        assert "Content-Type" not in answer.headers


def test_literals_ignore_case_and_a_slash_at_the_end(api: Api) -> None:
    started = api("POST", "/ORCHESTRATORS/returns/")  # an empty id is none
    assert len(started.body["id"]) == 32
    assert api("GET", f"/INSTANCES/{started.body['id']}/").body["instanceId"] == started.body["id"]
    assert api("POST", "/makeprimary").plain == (200, None)


def test_another_task_hub_is_empty_and_another_connection_unknown(api: Api) -> None:
    waits = api.new("waits")

    assert api("GET", f"/instances/{waits}?taskHub=testhubname&connection=storage").status == 202
    assert api("GET", f"/instances/{waits}?taskHub=Other").plain == (404, None)
    assert api("GET", "/instances?taskHub=Other").plain == (200, [])
    assert api("POST", "/orchestrators/waits?taskHub=Other").plain == (
        404,
        {"Message": "This host runs the task hub 'TestHubName' only; there is no 'Other' here."},
    )
    answer = api("GET", f"/instances/{waits}?connection=NoSuchSetting")
    assert answer.status == 500
    assert answer.body["ExceptionMessage"] == (
        "Unable to resolve the Azure Storage connection named 'NoSuchSetting'."
    )


async def test_a_defect_is_a_500_of_the_extensions_shape_and_a_line_in_the_log(
    caplog: pytest.LogCaptureFixture,
) -> None:
    management = ManagementApi(None, connection="Storage", note=print)  # type: ignore[arg-type]

    with caplog.at_level(logging.ERROR):
        answer = await management.handle("GET", "/instances/a", "", {}, b"", "http://localhost")

    body = json.loads(answer.body)
    assert answer.status == 500
    assert list(body) == ["Message", "ExceptionMessage", "ExceptionType", "StackTrace"]
    assert body["Message"] == "Something went wrong while processing your request"
    assert "Traceback" not in answer.body.decode()
    assert "AttributeError" in caplog.text


# -- paths that do not exist --------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("method", "path", "why"),
    [
        ("POST", "/instances/x/Terminat", "did you mean 'terminate'?"),
        ("POST", "/instance/x/terminate", "did you mean 'instances'?"),
        ("GET", "/instances/x/terminate", "this path takes POST only"),
        ("PATCH", "/instances/x", "this path takes DELETE and GET only"),
        (
            "POST",
            "/instances/x/raiseEvent",
            "there is no such path, but instances/{instanceId}/raiseEvent/{eventName}",
        ),
        ("GET", "/nothing/like/it", "there is no such path"),
        ("POST", "/orchestrators/echo/a%2Fb", "there is no such path; an instance id cannot contain '/'"),
    ],
)
def test_the_console_says_why_a_path_does_not_exist(
    host: HostProcess, api: Api, method: str, path: str, why: str
) -> None:
    assert api(method, f"{path}?code=secret").plain == (404, None)
    line = host.line(rf"note +{method} {MANAGEMENT}{re.escape(path)} was answered 404: (.*)")
    assert line[1] == why
    assert "secret" not in host.text


def test_an_instance_that_does_not_exist_is_no_matter_for_the_console(host: HostProcess, api: Api) -> None:
    assert api("GET", "/instances/unheard-of").status == 404
    assert api("POST", "/instances/unheard-of/terminate").status == 404
    api("GET", "/seen")
    host.line("/seen was answered 404")
    assert "unheard-of" not in host.text
