"""The rules for targets: every wrong field is named, at once."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from schedd.core.model.target import (
    PAYLOAD_LIMIT_BYTES,
    AuthScheme,
    HttpAuth,
    HttpTarget,
    Payload,
    ProcessTarget,
    ResourceLimits,
    StatusRange,
)
from schedd.core.target_rules import check_target

HTTP = HttpTarget(url="https://example.com/hook")
PROCESS = ProcessTarget(argv=("/bin/true",))
LIMITS = "process.resource_limits"
BEARER = HttpAuth(scheme=AuthScheme.BEARER, secret="a.token-1_b")
BASIC = HttpAuth(scheme=AuthScheme.BASIC, secret="password", username="me & you")


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"url": "http://localhost:8080"},
        {"url": "http://[::1]:80/x?a=b#c"},
        {"url": "http+unix://%2Frun%2Fapp.sock/path"},
        {"url": "https://{{ labels.team }}.example.com:{{ labels.port }}/{{ nominal_date }}"},
        {"method": "PROPFIND"},
        {"headers": (("X-A", "{{ attempt }}"), ("X-A", "tab\tand é"))},
        {"payload": Payload(content=b"\xff", template=False)},
        {"payload": Payload(content=bytes(PAYLOAD_LIMIT_BYTES), template=False)},
        {"expected_status": (StatusRange(first=100, last=599),)},
        {"output_limit_bytes": 0},
        {"output_limit_bytes": 1 << 20},
        {"auth": BEARER, "headers": (("X-A", "b"),)},
        {"auth": BASIC, "url": "http+unix://%2Frun%2Fa@b.sock/path"},
        {"url": "https://me:secret@example.com/a@b"},
        {"auth": BASIC, "url": "https://example.com/a@b"},
    ],
)
def test_good_http_target_has_no_violation(fields: dict[str, Any]) -> None:
    assert check_target(replace(HTTP, **fields), {"team", "port"}) == ()


@pytest.mark.parametrize(
    ("fields", "field", "reason"),
    [
        ({"url": ""}, "http.url", "INVALID_URL"),
        ({"url": "example.com/x"}, "http.url", "INVALID_URL"),
        ({"url": "ftp://example.com/"}, "http.url", "INVALID_URL"),
        ({"url": "http:///path"}, "http.url", "INVALID_URL"),
        ({"url": "http://host:99999/"}, "http.url", "INVALID_URL"),
        ({"url": "http://host:0/"}, "http.url", "INVALID_URL"),
        ({"url": "http://host\\@other/"}, "http.url", "INVALID_URL"),
        ({"url": "http://[::1/"}, "http.url", "INVALID_URL"),
        ({"url": "http://[fe80::1%25eth0]/"}, "http.url", "INVALID_URL"),
        ({"url": "http://[fe80::1%eth0]:80/"}, "http.url", "INVALID_URL"),
        ({"url": "http://[fe80::1]/"}, "http.url", "INVALID_URL"),
        ({"url": "http://[ff02::1%25eth0]/"}, "http.url", "INVALID_URL"),
        ({"url": "http://host/a b"}, "http.url", "INVALID_URL"),
        ({"url": "http://host/a\x7f"}, "http.url", "INVALID_URL"),
        ({"url": "http+unix://run/app.sock"}, "http.url", "INVALID_URL"),
        ({"url": "http://host/" + "x" * 9000}, "http.url", "INVALID_URL"),
        ({"url": "http://host/{{ nope }}"}, "http.url", "INVALID_TEMPLATE"),
        ({"url": "http://host/{{ labels.owner }}"}, "http.url", "INVALID_TEMPLATE"),
        ({"method": "GE T"}, "http.method", "INVALID_METHOD"),
        ({"method": "get"}, "http.method", "INVALID_METHOD"),
        ({"method": ""}, "http.method", "INVALID_METHOD"),
        ({"headers": (("X", "y"), ("a b", "c"))}, "http.headers[1].name", "INVALID_HEADER"),
        ({"headers": (("Content-Length", "1"),)}, "http.headers[0].name", "RESERVED_HEADER"),
        ({"headers": (("X", "a\r\nY: b"),)}, "http.headers[0].value", "INVALID_HEADER"),
        ({"headers": (("X", "{{"),)}, "http.headers[0].value", "INVALID_TEMPLATE"),
        ({"headers": (("X", "y"),) * 65}, "http.headers", "TOO_MANY"),
        ({"headers": (("X", "y" * 40_000),)}, "http.headers", "TOO_LARGE"),
        ({"payload": Payload(content=bytes(PAYLOAD_LIMIT_BYTES + 1))}, "http.payload.content", "TOO_LARGE"),
        ({"payload": Payload(content=b"ok \xff")}, "http.payload.content", "INVALID_UTF8"),
        ({"payload": Payload(content=b"{{ nope }}")}, "http.payload.content", "INVALID_TEMPLATE"),
        ({"payload": Payload(content_type="a\nb")}, "http.payload.content_type", "INVALID_HEADER"),
        ({"expected_status": ()}, "http.expected_status", "REQUIRED"),
        ({"expected_status": (StatusRange(first=200, last=200),) * 33}, "http.expected_status", "TOO_MANY"),
        ({"expected_status": (StatusRange(first=99, last=200),)}, "http.expected_status[0]", "OUT_OF_RANGE"),
        ({"expected_status": (StatusRange(first=300, last=200),)}, "http.expected_status[0]", "OUT_OF_RANGE"),
        ({"expected_status": (StatusRange(first=200, last=600),)}, "http.expected_status[0]", "OUT_OF_RANGE"),
        ({"body_match": "x" * 1025}, "http.body_match", "TOO_LARGE"),
        ({"auth": replace(BEARER, secret="")}, "http.auth.bearer.token.name", "INVALID_NAME"),
        ({"auth": replace(BASIC, secret="a/b")}, "http.auth.basic.password.name", "INVALID_NAME"),
        ({"auth": replace(BASIC, secret="a" * 65)}, "http.auth.basic.password.name", "INVALID_NAME"),
        ({"auth": replace(BASIC, username="")}, "http.auth.basic.username", "INVALID_NAME"),
        ({"auth": replace(BASIC, username="a:b")}, "http.auth.basic.username", "INVALID_NAME"),
        ({"auth": replace(BASIC, username="a\nb")}, "http.auth.basic.username", "INVALID_NAME"),
        ({"auth": BEARER, "headers": (("X", "y"), ("AUTHORIZATION", "x"))}, "http.headers[1].name", "RESERVED_HEADER"),
        ({"auth": BEARER, "url": "https://me@example.com/"}, "http.url", "INVALID_URL"),
        ({"output_limit_bytes": -1}, "http.output_limit_bytes", "OUT_OF_RANGE"),
        ({"output_limit_bytes": (1 << 20) + 1}, "http.output_limit_bytes", "OUT_OF_RANGE"),
    ],
)
def test_wrong_http_field_is_named(fields: dict[str, Any], field: str, reason: str) -> None:
    (violation,) = check_target(replace(HTTP, **fields), {"team"})
    assert (violation.field, violation.reason) == (field, reason)
    assert violation.description


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"argv": ("/bin/sh", "-c", "echo {{ labels.team }}")},
        {"env": {"A_1": "{{ attempt }}"}},
        {"working_directory": "/srv"},
        {"success_exit_codes": (0, 255)},
        {"kill_grace": timedelta(0)},
        {"user": "www-data", "group": "1000"},
        {"umask": 0o777, "nice": -20},
        {"resource_limits": ResourceLimits()},
        {"resource_limits": ResourceLimits(address_space_bytes=1 << 20, file_size_bytes=0, open_files=3, processes=1, core_size_bytes=0)},
        {"resource_limits": ResourceLimits(address_space_bytes=1 << 62, cpu_time=timedelta(seconds=1), core_size_bytes=1 << 62)},
        {"stdin": Payload(content=b"\0", template=False)},
    ],
)
def test_good_process_target_has_no_violation(fields: dict[str, Any]) -> None:
    assert check_target(replace(PROCESS, **fields)) == ()


@pytest.mark.parametrize(
    ("fields", "field", "reason"),
    [
        ({"argv": ()}, "process.argv", "REQUIRED"),
        ({"argv": ("", "x")}, "process.argv[0]", "REQUIRED"),
        ({"argv": ("a", "b\0")}, "process.argv[1]", "INVALID_CHARACTER"),
        ({"argv": ("a", "{{ nope }}")}, "process.argv[1]", "INVALID_TEMPLATE"),
        ({"argv": ("a",) * 257}, "process.argv", "TOO_MANY"),
        ({"argv": ("a" * 140_000,)}, "process.argv", "TOO_LARGE"),
        ({"env": {"1A": "x"}}, "process.env", "INVALID_NAME"),
        ({"env": {"A=B": "x"}}, "process.env", "INVALID_NAME"),
        ({"env": {"A": "x\0"}}, "process.env[A]", "INVALID_CHARACTER"),
        ({"env": {"A": "{{ nope }}"}}, "process.env[A]", "INVALID_TEMPLATE"),
        ({"env": {f"A{n}": "" for n in range(257)}}, "process.env", "TOO_MANY"),
        ({"env": {"A": "x" * 140_000}}, "process.env", "TOO_LARGE"),
        ({"working_directory": "srv"}, "process.working_directory", "NOT_ABSOLUTE"),
        ({"working_directory": "/a\0"}, "process.working_directory", "INVALID_CHARACTER"),
        ({"success_exit_codes": (0, 256)}, "process.success_exit_codes[1]", "OUT_OF_RANGE"),
        ({"success_exit_codes": ()}, "process.success_exit_codes", "REQUIRED"),
        ({"kill_grace": timedelta(seconds=-1)}, "process.kill_grace", "OUT_OF_RANGE"),
        ({"kill_grace": timedelta(minutes=11)}, "process.kill_grace", "OUT_OF_RANGE"),
        ({"user": "a b"}, "process.user", "INVALID_NAME"),
        ({"group": "-x"}, "process.group", "INVALID_NAME"),
        ({"umask": 0o1000}, "process.umask", "OUT_OF_RANGE"),
        ({"nice": 20}, "process.nice", "OUT_OF_RANGE"),
        ({"stdin": Payload(content=b"{{ nope }}")}, "process.stdin.content", "INVALID_TEMPLATE"),
        ({"resource_limits": ResourceLimits(address_space_bytes=(1 << 20) - 1)}, f"{LIMITS}.address_space_bytes", "OUT_OF_RANGE"),
        ({"resource_limits": ResourceLimits(file_size_bytes=-1)}, f"{LIMITS}.file_size_bytes", "OUT_OF_RANGE"),
        ({"resource_limits": ResourceLimits(open_files=2)}, f"{LIMITS}.open_files", "OUT_OF_RANGE"),
        ({"resource_limits": ResourceLimits(processes=0)}, f"{LIMITS}.processes", "OUT_OF_RANGE"),
        ({"resource_limits": ResourceLimits(core_size_bytes=-1)}, f"{LIMITS}.core_size_bytes", "OUT_OF_RANGE"),
        ({"resource_limits": ResourceLimits(cpu_time=timedelta(0))}, f"{LIMITS}.cpu_time", "OUT_OF_RANGE"),
        ({"resource_limits": ResourceLimits(cpu_time=timedelta(seconds=1.5))}, f"{LIMITS}.cpu_time", "OUT_OF_RANGE"),
        ({"output_limit_bytes": 2 << 20}, "process.output_limit_bytes", "OUT_OF_RANGE"),
    ],
)
def test_wrong_process_field_is_named(fields: dict[str, Any], field: str, reason: str) -> None:
    (violation,) = check_target(replace(PROCESS, **fields))
    assert (violation.field, violation.reason) == (field, reason)
    assert violation.description


def test_all_wrong_fields_are_named_at_once() -> None:
    target = HttpTarget(url="nowhere", method="get", headers=(("a b", "c\nd"),), output_limit_bytes=-1)
    fields = [violation.field for violation in check_target(target)]
    assert fields == ["http.url", "http.method", "http.headers[0].name", "http.headers[0].value", "http.output_limit_bytes"]
