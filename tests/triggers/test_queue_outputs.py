"""What functions of every kind write to queues is there once they have ended well, and not if they have failed."""

from __future__ import annotations

import json

import pytest

from dfhost.testing import Durable


# -- every kind of function ----------------------------------------------------------------------------------
@pytest.mark.parametrize("path", ["sync", "async"])
def test_an_http_function_puts_its_message_before_it_answers(durable: Durable, path: str) -> None:
    response = durable.post(f"/api/{path}", data="from é")
    assert (response.status, response.text) == (200, "put")
    assert durable.queue("out").messages == ["from é"]


@pytest.mark.parametrize(("activity", "words"), [("act", "activity"), ("act_async", "async activity")])
def test_an_activity_puts_its_message_and_returns_its_result(
    durable: Durable, activity: str, words: str
) -> None:
    assert durable.start("calls", [activity, "x"]).result() == "acted"
    assert durable.queue("out").messages == [f"{words} x"]


def test_a_timer_function_returns_its_message(durable: Durable) -> None:
    durable.advance(days=365)
    assert durable.queue("out").messages == ["timer"]


def test_a_function_run_by_hand_puts_its_message(durable: Durable) -> None:
    durable.trigger("on_time")
    durable.trigger("passes_on", "by hand")
    assert durable.queue("out").messages == ["timer", "queue by hand"]


def test_a_queue_function_puts_its_message_into_another_queue(durable: Durable) -> None:
    durable.queue("steps").put("a").put("b")
    assert durable.queue("out").messages == ["queue a", "queue b"]
    assert durable.queue("steps").messages == []


# -- what they write -----------------------------------------------------------------------------------------
def test_each_text_of_a_list_is_a_message(durable: Durable) -> None:
    durable.post("/api/list", data="a b 3 true")
    assert durable.queue("out").messages == ["a", "b", "3", "true"]


def test_an_empty_list_is_no_message(durable: Durable) -> None:
    assert durable.post("/api/list", data=" ").status == 200
    assert durable.queue("out").messages == []


def test_what_is_not_set_is_no_message(durable: Durable) -> None:
    assert durable.post("/api/nothing").text == "put nothing"
    assert durable.queue("out").messages == []


def test_an_empty_text_is_a_message(durable: Durable) -> None:
    durable.post("/api/sync", data="")
    assert durable.queue("out").messages == [""]


def test_a_message_object_is_put_with_its_id_and_body(durable: Durable) -> None:
    durable.post("/api/message", data="é")
    (text,) = durable.queue("out").messages
    assert json.loads(text) == {"id": "7", "body": "é"}


def test_bytes_are_put_as_they_are(durable: Durable) -> None:
    durable.post("/api/bytes", data='[1, "é"]')
    assert durable.queue("out").messages == ['[1, "é"]']


def test_bytes_that_are_no_text_fail_the_call(durable: Durable, caplog: pytest.LogCaptureFixture) -> None:
    response = durable.post("/api/bytes", data=b"\xff")
    assert response.status == 500 and "not UTF-8" in caplog.text
    assert durable.queue("out").messages == []


def test_text_that_looks_like_json_is_read_as_json(durable: Durable) -> None:
    durable.post("/api/sync", data=' ["a", {"b":1}] ')
    assert durable.queue("out").messages == ["a", '{\n  "b": 1\n}']


@pytest.mark.parametrize("text", ["[warning] disk", "{hello}", "[1] and [2]"])
@pytest.mark.parametrize("path", ["sync", "async"])
def test_text_that_looks_like_json_and_is_not_fails_the_call(
    durable: Durable, caplog: pytest.LogCaptureFixture, path: str, text: str
) -> None:
    response = durable.post(f"/api/{path}", data=text)
    assert response.status == (500 if text[-1] in "]}" else 200)
    if response.status == 500:
        assert "looks like JSON" in caplog.text and text in caplog.text
    assert durable.queue("out").messages == ([text] if response.status == 200 else [])


def test_several_outputs_go_to_their_queues(durable: Durable) -> None:
    durable.post("/api/both", data="2")
    assert durable.queue("FIRST").messages == ["1"]
    assert durable.queue("inbox-second").messages == ["2"]


# -- failures ------------------------------------------------------------------------------------------------
def test_a_failed_call_sends_nothing(durable: Durable, caplog: pytest.LogCaptureFixture) -> None:
    response = durable.post("/api/fails")
    assert (response.status, "after all" in caplog.text) == (500, True)
    assert durable.queue("out").messages == []


def test_if_one_output_cannot_be_read_nothing_is_sent(durable: Durable) -> None:
    assert durable.post("/api/both", data="[not json]").status == 500
    assert durable.queue("first").messages == durable.queue("inbox-second").messages == []


def test_a_misnamed_queue_fails_the_call(durable: Durable, caplog: pytest.LogCaptureFixture) -> None:
    response = durable.post("/api/misnamed")
    assert response.status == 500 and "'no_such_name' cannot be the name of a queue" in caplog.text


@pytest.mark.parametrize(
    ("text", "fits"), [("x" * 49_152, True), ("x" * 49_153, False), ("é" * 24_577, False)]
)
def test_a_message_that_is_too_long_fails_the_call(
    durable: Durable, caplog: pytest.LogCaptureFixture, text: str, fits: bool
) -> None:
    response = durable.post("/api/sync", data=text)
    assert response.status == (200 if fits else 500)
    assert durable.queue("out").messages == ([text] if fits else [])
    if not fits:
        assert "too long for queue out" in caplog.text and "49,152 bytes" in caplog.text


@pytest.mark.parametrize("activity", ["act", "act_async"])
def test_an_activity_whose_message_cannot_be_put_fails(durable: Durable, activity: str) -> None:
    run = durable.start("calls", [activity, "x" * 50_000])
    assert "too long for queue out" in run.result()
    assert durable.queue("out").messages == []


def test_a_queue_function_whose_message_cannot_be_put_is_given_its_own_again(durable: Durable) -> None:
    durable.queue("steps").put("x" * 49_152)  # with a word before it, it is too long
    assert durable.queue("steps-poison").messages == ["x" * 49_152]
    assert durable.queue("out").messages == []


@pytest.mark.parametrize("path", ["sync", "async"])
def test_half_a_surrogate_pair_fails_the_call(
    durable: Durable, caplog: pytest.LogCaptureFixture, path: str
) -> None:
    response = durable.post(f"/api/{path}", data='["\\ud800"]')
    assert response.status == 500 and "has half of a surrogate pair in it: '\\ud800'" in caplog.text
    assert durable.queue("out").messages == durable.notes == []


# -- after a crash -------------------------------------------------------------------------------------------
def test_a_message_is_given_again_after_a_crash(durable: Durable) -> None:
    durable.crash(after_commits=2)  # the message is put and taken, and nothing else is on the disk
    durable.queue("steps").put("a")
    assert durable.queue("out").messages == ["queue a"]
    assert durable.queue("steps").messages == []
