"""Where items come from: what may be read, what is refused, what a file becomes."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from fan_out import item_sources
from fan_out.bodies import BadRequest
from fan_out.item_sources import READERS, csv_items, json_items, permitted_path, permitted_url

orders, lines = READERS["orders"], READERS["lines"]


@pytest.fixture
def inbox(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "inbox"
    folder.mkdir()
    (tmp_path / "secret.csv").write_text("a\n1\n")
    monkeypatch.setenv(item_sources.SETTING, f" {folder} ; https://acct.blob.example/data/ ")
    return folder


def read(body: dict) -> list:
    return lines.read(lines.check(body))


def test_orders_are_numbered():
    assert orders.read(orders.check({"count": 3})) == ["order-1", "order-2", "order-3"]
    assert orders.read(orders.check({"count": 0})) == []


@pytest.mark.parametrize("count", [None, -1, 1.5, "7", True, [3]])
def test_a_count_is_a_whole_number(count):
    with pytest.raises(BadRequest, match="'count' must be a whole number") as refused:
        orders.check({"count": count})
    assert (refused.value.field, refused.value.status) == ("count", 400)


def test_a_count_beyond_the_limit_is_too_large():
    with pytest.raises(BadRequest, match="100,000") as refused:
        orders.check({"count": 100_001})
    assert refused.value.status == 413


# -- files ----------------------------------------------------------------------------------------------------------


def test_a_csv_file_gives_one_object_a_row(inbox):
    (inbox / "c.csv").write_bytes('\ufeffid,name\r\n1,"Ann, the first"\r\n\r\n2,Bob\r\n'.encode())
    assert read({"path": "c.csv"}) == [{"id": "1", "name": "Ann, the first"}, {"id": "2", "name": "Bob"}]
    assert read({"path": str(inbox / "c.csv")}) == read({"path": "c.csv"})


def test_a_json_file_is_an_array_or_lines(inbox):
    (inbox / "a.json").write_text('[1, {"b": 2}]')
    (inbox / "b.jsonl").write_text('{"b": 2}\n\n"x"\n')
    (inbox / "c.txt").write_text("[1]\n[2]\n")
    assert read({"path": "a.json"}) == [1, {"b": 2}]
    assert read({"path": "b.jsonl"}) == [{"b": 2}, "x"]
    assert read({"path": "c.txt", "format": "json"}) == [[1], [2]]


@pytest.mark.parametrize(
    ("text", "says"),
    [("a,b\n1,2\n1\n", "Line 3 has 1 columns, the header 2"), ('a\n"x"y\n', "Line 2 is not CSV")],
)
def test_a_bad_csv_file_names_the_line(text, says):
    with pytest.raises(ValueError, match=says):
        csv_items(text)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('{"a": 1}\n{"a":\n', "Line 2 is not JSON"),
        (
            '[\n  {"a": 1},\n  {"a": 2},\n]\n',
            "Line 4 is not JSON|Line 3 is not JSON",
        ),  # 3 from Python 3.13 on
        ('[\n  {"a": 1},\n  {"a" 2}\n]\n', "Line 3 is not JSON: Expecting ':' delimiter, at column 8"),
        ("[1]\n[2\n", "Line 2 is not JSON"),
        ("[\n1, NaN]", "The array is not JSON: NaN is not a JSON value"),
        ("1\n-Infinity\n", "Line 2 is not JSON: -Infinity is not a JSON value"),
    ],
)
def test_a_bad_json_file_names_the_line(text, says):
    with pytest.raises(ValueError, match=says):
        json_items(text)


def test_blank_lines_are_no_items():
    assert json_items("") == csv_items("") == csv_items("\n\n") == []
    assert csv_items("\na,b\n\n1,2\n\n") == [{"a": "1", "b": "2"}]


def test_other_bytes_and_too_many_items_are_refused(inbox, monkeypatch):
    (inbox / "latin.csv").write_bytes(b"a\n\xe9\n")
    with pytest.raises(ValueError, match="not UTF-8: byte 2"):
        read({"path": "latin.csv"})
    (inbox / "many.csv").write_text("a\n" + "1\n" * 11)
    monkeypatch.setattr(item_sources, "MOST_ITEMS", 10)
    with pytest.raises(ValueError, match="holds 11 items"):
        read({"path": "many.csv"})
    monkeypatch.setattr(item_sources, "MOST_BYTES", 10)
    with pytest.raises(ValueError, match="larger than"):
        read({"path": "many.csv"})


@pytest.mark.parametrize(
    "path",
    [
        "../secret.csv",
        "a/../../secret.csv",
        "/etc/passwd",
        ".",
        "",
        "x\0.csv",
        "file:///etc/passwd.csv",
        "..",
    ],
)
def test_only_what_lies_in_a_permitted_folder_can_be_read(inbox, path):
    assert permitted_path(path) is None


def test_a_link_out_of_the_folder_is_not_followed(inbox):
    (inbox / "link.csv").symlink_to(inbox.parent / "secret.csv")
    assert permitted_path("link.csv") is None
    with pytest.raises(BadRequest, match=item_sources.SETTING):
        lines.check({"path": "link.csv"})


def test_a_file_that_was_permitted_when_asked_for_is_looked_at_again_when_read(inbox):
    (inbox / "c.csv").write_text("a\n1\n")
    given = lines.check({"path": "c.csv"})
    (inbox / "c.csv").unlink()
    (inbox / "c.csv").symlink_to(inbox.parent / "secret.csv")
    with pytest.raises(PermissionError):
        lines.read(given)


def test_nothing_is_permitted_by_default(monkeypatch):
    monkeypatch.delenv(item_sources.SETTING, raising=False)
    assert permitted_path("/etc/hosts") is None
    assert permitted_url("https://acct.blob.example/data/x.csv") is None


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "path"),
        ({"path": "a.csv", "url": "https://x/a.csv"}, "path"),
        ({"path": 1}, "path"),
        ({"path": ""}, "path"),
        ({"path": "a.parquet"}, "format"),
        ({"path": "a.csv", "format": "xml"}, "format"),
        ({"path": "/etc/a.csv"}, "path"),
        ({"url": "https://elsewhere.example/a.csv"}, "url"),
    ],
)
def test_each_field_is_checked(inbox, body, field):
    with pytest.raises(BadRequest) as refused:
        lines.check(body)
    assert refused.value.field == field and str(refused.value).endswith(".")


# -- URLs -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "url",
    [
        "https://acct.blob.example/data/x.csv",
        "https://acct.blob.example/data/deep/x.csv?sig=abc",
        "https://ACCT.blob.example:443/data/x.csv",
        "https://acct.blob.example/data/a%20b.csv",
    ],
)
def test_urls_below_a_permitted_prefix(inbox, url):
    assert permitted_url(url) == url


@pytest.mark.parametrize(
    "url",
    [
        "http://acct.blob.example/data/x.csv",
        "https://acct.blob.example/database/x.csv",
        "https://acct.blob.example/other/x.csv",
        "https://acct.blob.example:444/data/x.csv",
        "https://acct.blob.example.evil.example/data/x.csv",
        "https://acct.blob.example@evil.example/data/x.csv",
        "https://user:pw@acct.blob.example/data/x.csv",
        "https://acct.blob.example/data/../secret.csv",
        "https://acct.blob.example/data/%2e%2e/secret.csv",
        "https://acct.blob.example/data/%252e%252e/secret.csv",
        "https://acct.blob.example/data/..%2fsecret.csv",
        "https://acct.blob.example/data\\..\\secret.csv",
        "https://acct.blob.example/data/x.csv#y",
        "https://acct.blob.example/data/ x.csv",
        "https://acct.blob.example:notaport/data/x.csv",
        "https://[::1/data/x.csv",
        "ftp://acct.blob.example/data/x.csv",
        "//acct.blob.example/data/x.csv",
        "data/x.csv",
    ],
)
def test_urls_elsewhere_are_refused(inbox, url):
    assert permitted_url(url) is None


@pytest.fixture
def files() -> Iterator[str]:
    class Files(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path.startswith("/data/moved"):
                self.send_response(302)
                self.send_header("Location", "/secret.csv")
                self.end_headers()
                return
            body = b"a\n1\n" if "ok" in self.path or "secret" in self.path else b""
            self.send_response(200 if body else 404)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Files) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_a_url_is_read_and_a_redirect_is_not_followed(files, monkeypatch):
    monkeypatch.setenv(item_sources.SETTING, f"{files}/data")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    assert read({"url": f"{files}/data/ok.csv?sig=s3cret"}) == [{"a": "1"}]
    with pytest.raises(OSError, match="answered 302"):
        read({"url": f"{files}/data/moved.csv"})
    with pytest.raises(OSError, match=r"answered 404") as failed:
        read({"url": f"{files}/data/none.csv?sig=s3cret"})
    assert "s3cret" not in str(failed.value)


# -- what must neither hang nor slip through ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("https://acct.blob.example/data/..;/secret.csv", "'..'"),
        ("https://acct.blob.example/data/..;v=1/secret.csv", "'..'"),
        ("https://acct.blob.example/data/..%3b/secret.csv", "encoded"),
        ("https://acct.blob.example/data/%c0%ae%c0%ae/secret.csv", "not UTF-8"),
        ("https://acct.blob.example/data/%e0%80%af.csv", "not UTF-8"),
        ("https://acct.blob.example/data/caf\u00e9.csv", "percent-encoded"),
        ("https://\u0430cct.blob.example/data/x.csv", "percent-encoded"),
        ("https:///data/x.csv", "a host"),
        ("https://acct.blob.example:notaport/data/x.csv", "host or port"),
        ("https://acct.blob.example/data/x\ny.csv", "control characters"),
    ],
)
def test_a_url_that_may_be_read_in_two_ways_is_told_why(inbox, url, says):
    assert permitted_url(url) is None
    with pytest.raises(BadRequest, match=says) as refused:
        lines.check({"url": url, "format": "csv"})
    assert refused.value.field == "url" and str(refused.value).endswith(".")


def test_an_encoded_name_is_a_name(inbox):
    assert lines.check({"url": "https://acct.blob.example/data/caf%C3%A9;1.csv"})["format"] == "csv"


@pytest.mark.parametrize("field", ["path", "url"])
def test_an_empty_place_is_called_empty(inbox, field):
    with pytest.raises(BadRequest, match=f"'{field}' is empty") as refused:
        lines.check({field: ""})
    assert refused.value.field == field


def test_a_pipe_is_not_waited_for(inbox):
    os.mkfifo(inbox / "pipe.csv")
    (inbox / "folder.csv").mkdir()
    for name in ("pipe.csv", "folder.csv"):
        with pytest.raises(OSError, match=f"^{name} (is not a file|cannot be read: Is a directory)"):
            read({"path": name})


@pytest.mark.parametrize("name", ["none.csv", "x" * 300 + ".csv"])
def test_a_file_that_cannot_be_opened_is_a_sentence(inbox, name):
    with pytest.raises(OSError, match=r"cannot be read: .*\.$"):
        read({"path": name})


def test_a_name_that_no_file_can_have_is_refused(inbox):
    with pytest.raises(BadRequest, match=item_sources.SETTING):
        lines.check({"path": "\ud800.csv"})


@pytest.mark.parametrize("part", ["head", "body"])
def test_a_server_that_sends_a_byte_now_and_then_is_given_up(monkeypatch, part):
    enough = threading.Event()

    def serve(server: socket.socket) -> None:
        connection = server.accept()[0]
        with connection:
            connection.recv(65536)
            connection.sendall(b"HTTP/1.1 200 OK\r\n" + (b"\r\n" if part == "body" else b"X: "))
            while not enough.wait(0.05):
                try:
                    connection.sendall(b"a")
                except OSError:
                    return

    with socket.create_server(("127.0.0.1", 0)) as server:
        serving = threading.Thread(target=serve, args=(server,), daemon=True)
        serving.start()
        origin = f"http://127.0.0.1:{server.getsockname()[1]}"
        monkeypatch.setenv(item_sources.SETTING, f"{origin}/")
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        monkeypatch.setattr(item_sources, "_SECONDS", 1)
        with pytest.raises(OSError, match=r"slow\.csv was not read to its end in 1 seconds"):
            read({"url": f"{origin}/slow.csv?sig=s3cret"})
        enough.set()
        serving.join(5)


def test_an_answer_that_is_no_http_is_a_sentence(monkeypatch):
    def serve(server: socket.socket) -> None:
        with server.accept()[0] as connection:
            connection.recv(65536)
            connection.sendall(b"nonsense\r\n\r\n")

    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=serve, args=(server,), daemon=True).start()
        origin = f"http://127.0.0.1:{server.getsockname()[1]}"
        monkeypatch.setenv(item_sources.SETTING, f"{origin}/")
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        with pytest.raises(OSError, match=r"x.csv cannot be read: nonsense"):
            read({"url": f"{origin}/x.csv"})


def test_json_nested_too_deeply_is_a_sentence():
    with pytest.raises(ValueError, match="The array is not JSON"):
        json_items("[" * 100_000)
