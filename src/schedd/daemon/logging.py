"""The daemon's log: one line an event on standard error, JSON for machines, coloured for a terminal. Never a payload, never a secret."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, MutableMapping
from contextlib import suppress
from typing import Any, TextIO, cast

import msgspec
import structlog

from schedd.daemon.config import Log, LogFormat, LogLevel

SECRET_KEYS = frozenset(
    {"authorization", "body", "content", "env", "error_output", "headers", "output", "password", "payload", "secret", "stdin", "token"}
)
"""Fields whose values never reach the log, whoever passes them."""

_LEVELS = {LogLevel.DEBUG: logging.DEBUG, LogLevel.INFO: logging.INFO, LogLevel.WARNING: logging.WARNING, LogLevel.ERROR: logging.ERROR}

Event = MutableMapping[str, Any]
Processor = Callable[[Any, str, Event], Any]


def configure_logging(config: Log, stream: TextIO | None = None) -> None:
    """Send structlog's and the standard library's log lines to `stream` (standard error); call it again to change the level."""
    target = sys.stderr if stream is None else stream
    console = config.format is LogFormat.CONSOLE or (config.format is LogFormat.AUTO and target.isatty())
    level = _LEVELS[config.level]
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
            without_secrets,
            *(_console(colors=target.isatty()) if console else (structlog.processors.format_exc_info, render_json)),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.WriteLoggerFactory(file=cast(TextIO, _Patient(target))),
        cache_logger_on_first_use=False,
    )
    logging.basicConfig(level=max(level, logging.WARNING), handlers=[StructlogHandler()], force=True)


def without_secrets(logger: object, method: str, event: Event) -> Event:
    """A structlog processor: the values of SECRET_KEYS go."""
    for key in SECRET_KEYS & event.keys():
        event[key] = "[removed]"
    return event


def render_json(logger: object, method: str, event: Event) -> str:
    """A structlog processor: the event as one line of JSON; what JSON cannot say comes as text."""
    return msgspec.json.encode(dict.fromkeys(("time", "level", "event")) | dict(event), enc_hook=str).decode()


def _console(*, colors: bool) -> tuple[Processor, ...]:
    """For people. Plain tracebacks: the pretty ones show local variables, and so secrets."""
    return (structlog.dev.ConsoleRenderer(colors=colors, timestamp_key="time", exception_formatter=structlog.dev.plain_traceback),)


class _Patient:
    """As much of a stream as lines need. A full disk, or a reader that has gone, costs lines: never the work of whoever logs."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> None:
        """Write what can be written."""
        with suppress(OSError):
            self._stream.write(text)

    def flush(self) -> None:
        """Flush what can be flushed."""
        with suppress(OSError):
            self._stream.flush()


class StructlogHandler(logging.Handler):
    """Passes the standard library's log records (of asyncio, grpc, aiohttp) on to structlog."""

    def emit(self, record: logging.LogRecord) -> None:
        """Log the record under its logger's name, with its traceback if it has one."""
        structlog.get_logger().log(record.levelno, record.getMessage(), logger=record.name, exc_info=record.exc_info)
