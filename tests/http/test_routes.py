"""Route templates, constraints, the order in which functions are tried, and how a path is decoded."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dfhost.http.function_routes import RouteTable
from dfhost.http.route_constraints import constraint
from dfhost.http.route_templates import InvalidRouteTemplate, parse
from dfhost.http.urls import canonical_url, decode_path, query_values


@pytest.mark.parametrize(
    ("template", "path", "values"),
    [
        ("items", "items", {}),
        ("items", "ITEMS/", {}),
        ("items", "items//", None),
        ("items", "items/1", None),
        ("items", "", None),
        ("", "", {}),
        ("", "x", None),
        ("~/items", "items", {}),
        ("items/", "items", {}),
        ("items/{id}", "items/7", {"id": "7"}),
        ("items/{id}", "items/7/", {"id": "7"}),
        ("items/{id}", "items/", None),
        ("items/{id}", "items//", None),
        ("items/{id?}", "items", {}),
        ("items/{id?}", "items/a b", {"id": "a b"}),
        ("items/{id=5}", "items", {"id": "5"}),
        ("items/{id=5}", "items/6", {"id": "6"}),
        ("items/{id=}", "items", {"id": ""}),
        ("{a}/{b?}/{c?}", "x", {"a": "x"}),
        ("{a}/{b?}/{c?}", "x/y/z", {"a": "x", "b": "y", "c": "z"}),
        ("{a=1}/{b=2}", "", {"a": "1", "b": "2"}),
        ("{*rest}", "", {}),
        ("{*rest}", "a/b//c/", {"rest": "a/b//c/"}),
        ("{*rest}", "/a", None),
        ("{**rest}", "a/b", {"rest": "a/b"}),
        ("{*rest=home}", "", {"rest": "home"}),
        ("files/{*rest}", "files", {}),
        ("files/{*rest}", "files/", {}),
        ("files/{*rest}", "file", None),
        ("files/{*rest:int}", "files", None),
        ("files/{*rest:int}", "files/7", {"rest": "7"}),
        ("{file}.{ext}", "a.b.c", {"file": "a.b", "ext": "c"}),
        ("{file}.{ext}", "a.", None),
        ("{file}.{ext}", ".b", None),
        ("{file}.{ext?}", "a", {"file": "a"}),
        ("{file}.{ext?}", "a.b", {"file": "a", "ext": "b"}),
        ("{file}.{ext?}", "a.", None),
        ("v{major:int}.{minor:int}", "V1.22", {"major": "1", "minor": "22"}),
        ("v{major:int}.{minor:int}", "v1.x", None),
        ("pre-{name}", "pre-x", {"name": "x"}),
        ("pre-{name}", "pre-", None),
        ("pre-{name}", "xpre-y", None),
        ("{name}-post", "a-post-post", {"name": "a-post"}),
        ("{a}-{b}-{c}", "1-2-3-4", {"a": "1-2", "b": "3", "c": "4"}),
        ("{id:int}", "7", {"id": "7"}),
        ("{id:int}", "x", None),
        ("{id:int?}", "", {}),
        ("{id:int=7}", "", {"id": "7"}),
        ("{id:int=x}", "", None),
        ("{id:int:min(3):max(5)}", "4", {"id": "4"}),
        ("{id:int:min(3):max(5)}", "6", None),
        ("{id:regex(^a:b/c$)}", "a:b", None),
        ("{id:regex(^\\d{{3}}$)}/x", "123/x", {"id": "123"}),
        ("{id:regex(^\\d{{3}}$)}/x", "1234/x", None),
        ("{id:regex(^(a|b)$)=a}", "", {"id": "a"}),
        ("{id:regex(^(a|b)$)=c}", "", None),
        ("{{literal}}", "{literal}", {}),
        ("{:odd}", "x", {":odd": "x"}),
        ("Übung/{x}", "ÜBUNG/é", {"x": "é"}),
    ],
)
def test_match(template: str, path: str, values: dict[str, str] | None) -> None:
    assert parse(template).match(path) == values


@pytest.mark.parametrize(
    ("template", "problem"),
    [
        ("a//b", "'/' must not appear twice in a row"),
        ("//a", "'/' must not appear twice in a row"),
        ("{a", "do not pair up"),
        ("a}", "do not pair up"),
        ("{}", "do not pair up"),
        ("{a}{b}", "without text between them"),
        ("{a?}b", "must stand alone or at the end"),
        ("{a}-{b?}", "only a period may precede the optional parameter 'b'"),
        ("x{*rest}", "must stand alone or at the end"),
        ("{*rest}/x", "must come last"),
        ("{*rest?}", "cannot be optional"),
        ("{a}/{A}", "the parameter 'A' appears twice"),
        ("{a=1?}", "is optional and has a default"),
        ("what?", "contains a question mark"),
        ("{a:nonsense}", "there is no constraint 'nonsense'"),
        ("{a:min(x)}", "the constraint 'min(x)' has the wrong arguments"),
        ("{a:min}", "the constraint 'min' has the wrong arguments"),
        ("{a:int(3)}", "the constraint 'int(3)' has the wrong arguments"),
        ("{a:range(1)}", "the constraint 'range(1)' has the wrong arguments"),
        ("{a:regex([)}", "is not a regular expression"),
        ("{a:regex()}", "needs a regular expression"),
        ("/".join(f"{{p{n}}}" for n in range(29)), "more than 28 segments"),
    ],
)
def test_templates_that_the_functions_host_refuses(template: str, problem: str) -> None:
    with pytest.raises(InvalidRouteTemplate) as caught:
        parse(template)
    assert problem in str(caught.value)


@pytest.mark.parametrize(
    ("text", "yes", "no"),
    [
        ("int", ["0", "-5", "+5", " 5 ", "2147483647"], ["", "1.0", "x", "2147483648", "٣"]),
        ("long", ["9223372036854775807"], ["9223372036854775808"]),
        ("bool", ["true", "FALSE", " True "], ["yes", "1", ""]),
        (
            "guid",
            [
                "CD2C1638-1638-72D5-1638-DEADBEEF1638",
                "cd2c1638163872d51638deadbeef1638",
                "{cd2c1638-1638-72d5-1638-deadbeef1638}",
                "(cd2c1638-1638-72d5-1638-deadbeef1638)",
            ],
            ["cd2c1638-163872d51638deadbeef1638", "{cd2c1638163872d51638deadbeef1638}", "x"],
        ),
        (
            "datetime",
            [
                "2016-12-31",
                "2016-12-31 7:32pm",
                "2016-12-31T07:32:00Z",
                "12/31/2016",
                "2016-12",
                "07:32",
            ],
            ["x", "20161231", "2016-13-01"],
        ),
        ("decimal", ["49.99", "-1,000.01", ".5", "5."], ["x", "1e5", ""]),
        ("double", ["1.234", "-1,001.01e8", "NaN"], ["x", "."]),
        ("float", ["1.234e-5"], ["1.2.3"]),
        ("alpha", ["Rick", ""], ["R1ck", "ä"]),
        ("minlength(4)", ["Rick"], ["Ric"]),
        ("maxlength(4)", ["Rick", ""], ["Ricky"]),
        ("length(4)", ["Rick"], ["Ric", "Ricky"]),
        ("length(4, 5)", ["Rick", "Ricky"], ["Ric", "Rickys"]),
        ("min(18)", ["18"], ["17", "x"]),
        ("max(18)", ["18", "-5"], ["19"]),
        ("range(18,120)", ["18", "120"], ["17", "121"]),
        ("required", ["x"], [""]),
        ("file", ["a.txt", "d/a.txt"], ["a", "a.", ".d/a"]),
        ("nonfile", ["a"], ["a.txt"]),
        ("regex(b+)", ["aBBc"], ["ac"]),
        ("regex(^(?<year>\\d+)$)", ["1999"], ["x"]),
    ],
)
def test_constraints(text: str, yes: list[str], no: list[str]) -> None:
    check = constraint(text)
    assert [value for value in yes if not check(value)] == []
    assert [value for value in no if check(value)] == []


# -- which function --------------------------------------------------------------------------------------------
def table(prefix: str, *routes: tuple[str, str, str]) -> RouteTable[str]:
    made: RouteTable[str] = RouteTable(prefix)
    for name, template, methods in routes:
        made.add(name, template, methods.split() or None, name)
    return made


def target(routes: RouteTable[str], method: str, path: str) -> str:
    found = routes.find(method, path)
    assert found
    return found[0].target


def test_the_name_decides_between_two_that_fit() -> None:
    # functions-host#9876: by name, ignoring case, whatever the order of declaration and however specific.
    routes = table("api", ("zebra", "items/recent", "GET"), ("Alpha", "items/{id}", "GET"))
    assert target(routes, "GET", "/api/items/recent") == "Alpha"
    assert [(a.name, b.name) for a, b in routes.shadowed()] == [("zebra", "Alpha")]


def test_a_more_specific_route_with_the_smaller_name_shadows_nothing() -> None:
    routes = table(
        "api", ("a", "items/recent", "GET"), ("b", "items/{id}", "GET"), ("c", "items/{id:int}/x", "")
    )
    assert target(routes, "GET", "/API/items/recent") == "a"
    assert target(routes, "GET", "/api/items/7") == "b"
    assert routes.shadowed() == []


def test_methods_are_part_of_the_route() -> None:
    routes = table("", ("a", "x", "get"), ("b", "x", "POST PUT"), ("c", "y", ""))
    assert target(routes, "GET", "/x") == "a"
    assert target(routes, "PUT", "/x") == "b"
    assert routes.find("DELETE", "/x") is None and routes.find("HEAD", "/x") is None
    assert target(routes, "OPTIONS", "/y") == "c"
    assert routes.shadowed() == []


def test_equal_routes_are_reported() -> None:
    routes = table("", ("a", "x/{n:int}", ""), ("b", "x/{m:int}", "GET"), ("c", "{*all}", ""))
    assert [(a.name, b.name) for a, b in routes.shadowed()] == [("b", "a")]


# -- paths -----------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("raw", "decoded"),
    [
        ("/a%20b+c", "/a b+c"),
        ("/a%2Fb%2fc", "/a%2Fb%2fc"),
        ("/%C3%A9", "/é"),
        ("/%FF", "/%FF"),
        ("/%25", "/%"),
        ("/%2520", "/%20"),
        ("/a/./b/../c", "/a/c"),
        ("/../a", "/a"),
        ("/a/..", "/"),
        ("/a/b/.", "/a/b/"),
        ("/a/.hidden", "/a/.hidden"),
        ("/a/b/%2E%2e/%2E", "/a/"),
        ("/a/..%2Fb", "/a/..%2Fb"),
        ("/%E4%C3%A4", "/%E4ä"),
        ("/%c3%zz%", "/%c3%zz%"),
        ("/", "/"),
    ],
)
def test_decode_path(raw: str, decoded: str) -> None:
    assert decode_path(raw) == decoded


@pytest.mark.parametrize(
    ("path", "query", "url"),
    [
        ("/a b/ä", "", "/a%20b/%C3%A4"),
        ("/~'()*", "a=%7e&b=%c3%A4&c=%", "/~'()*?a=~&b=%C3%A4&c=%25"),
        ('/"<>|{}^`\\', 'x="<>|', "/%22%3C%3E%7C%7B%7D%5E%60%5C?x=%22%3C%3E%7C"),
        ("/a?b#c", "", "/a%3Fb%23c"),
    ],
)
def test_urls_are_written_as_dotnet_does(path: str, query: str, url: str) -> None:
    assert canonical_url("http://h", path, query) == f"http://h{url}"


@pytest.mark.parametrize(
    ("query", "values"),
    [
        ("a=1&a=", {"a": "1"}),
        ("a&a", {}),
        ("a=%FF+%C3%A4&b=%", {"a": "%FF ä", "b": "%"}),
        ("A=1&a=2", {"a": "1,2"}),
        ("=x&a=b=c", {"": "x", "a": "b=c"}),
    ],
)
def test_query_values(query: str, values: dict[str, str]) -> None:
    assert query_values(query) == values


@given(st.text(alphabet="/.ab%2F", max_size=12))
def test_no_path_breaks_the_table(tail: str) -> None:
    routes = table("api", ("a", "{x}.{y?}/{z:int?}", ""), ("b", "{*all}", ""))
    found = routes.find("GET", decode_path("/" + tail))
    assert found is None or all(isinstance(value, str) for value in found[1].values())


@given(st.lists(st.text(min_size=1).filter(lambda text: "/" not in text), min_size=1, max_size=4))
def test_a_catch_all_gives_back_what_was_asked(parts: list[str]) -> None:
    path = "/".join(parts)
    assert parse("{*rest}").match(path) == {"rest": path}
    assert parse("/".join(f"{{p{n}}}" for n in range(len(parts)))).match(path) == {
        f"p{n}": part for n, part in enumerate(parts)
    }
