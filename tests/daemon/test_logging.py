"""What the log says, and what it never says."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
import structlog

from schedd.daemon.config import Log, LogFormat, LogLevel
from schedd.daemon.logging import configure_logging


@pytest.fixture(autouse=True)
def _restore() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    structlog.reset_defaults()
    structlog.contextvars.clear_contextvars()
    root.handlers[:], root.level = handlers, level


def lines(stream: io.StringIO) -> list[dict[str, object]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_log_line_is_one_json_object_with_its_fields_and_the_correlation_id() -> None:
    stream = io.StringIO()
    configure_logging(Log(), stream)
    structlog.contextvars.bind_contextvars(correlation_id="abc")
    structlog.get_logger().warning("execution finished", schedule="groups/a/schedules/b", attempt=2, lateness_s=0.25, outcome="FAILED")
    (line,) = lines(stream)
    assert str(line.pop("time")).endswith("Z")
    assert line == {
        "event": "execution finished",
        "level": "warning",
        "schedule": "groups/a/schedules/b",
        "attempt": 2,
        "lateness_s": 0.25,
        "outcome": "FAILED",
        "correlation_id": "abc",
    }


@pytest.mark.parametrize("format_", [LogFormat.JSON, LogFormat.CONSOLE])
def test_log_that_cannot_be_written_costs_its_lines_and_nothing_else(format_: LogFormat) -> None:
    logged = 0
    with suppress(OSError), Path("/dev/full").open("w", buffering=1, encoding="utf-8") as full:  # It fails once more when it is closed.
        configure_logging(Log(format=format_), full)
        for _ in range(1000):
            structlog.get_logger().error("arm_refused", detail="disk I/O error")
            logged += 1
    assert logged == 1000


@pytest.mark.parametrize("format_", [LogFormat.JSON, LogFormat.CONSOLE])
def test_log_line_never_holds_payload_or_secret(format_: LogFormat) -> None:
    stream = io.StringIO()
    configure_logging(Log(format=format_), stream)
    structlog.get_logger().info("delivered", payload=b"hunter2", token="hunter2", headers={"Authorization": "hunter2"}, stdin="hunter2")
    assert "delivered" in stream.getvalue()
    assert "hunter2" not in stream.getvalue()


def test_log_console_traceback_shows_no_local_variables() -> None:
    stream = io.StringIO()
    configure_logging(Log(format=LogFormat.CONSOLE), stream)
    try:
        secret = "hunter2"
        raise ValueError(len(secret))
    except ValueError:
        structlog.get_logger().exception("went wrong")
    assert "ValueError: 7" in stream.getvalue()
    assert "'hunter2'" not in stream.getvalue().replace('secret = "hunter2"', "")


def test_log_level_set_again_holds_for_loggers_made_before() -> None:
    stream = io.StringIO()
    log = structlog.get_logger()
    configure_logging(Log(level=LogLevel.ERROR), stream)
    log.info("unheard")
    configure_logging(Log(level=LogLevel.DEBUG), stream)
    log.debug("heard")
    assert [line["event"] for line in lines(stream)] == ["heard"]


def test_log_records_of_the_standard_library_come_as_json_too() -> None:
    stream = io.StringIO()
    configure_logging(Log(), stream)
    try:
        raise ValueError("oh")
    except ValueError:
        logging.getLogger("grpc.server").exception("call %d failed", 7)
    (line,) = lines(stream)
    assert (line["event"], line["logger"], line["level"]) == ("call 7 failed", "grpc.server", "error")
    assert "ValueError: oh" in str(line["exception"])
