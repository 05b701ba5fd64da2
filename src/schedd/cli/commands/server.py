"""The daemon itself: status, health, journal, version."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from importlib.metadata import version as package_version
from itertools import islice
from typing import TYPE_CHECKING

import click

from schedd.cli.commanding import command
from schedd.cli.failures import CommandError, ExitCode
from schedd.cli.names import schedule_name, short_name
from schedd.cli.output import Format
from schedd.cli.selecting import complete_schedule
from schedd.cli.session import Session
from schedd.cli.spans import instant_text, relative_text, rough_text

if TYPE_CHECKING:
    from schedd.v1.admin_service_pb2 import CircuitStatus, GetStatusResponse


@command(
    "status",
    examples="""
schedctl server status
schedctl server status -o json
""",
)
@click.pass_obj
def status(session: Session) -> None:
    """Show how the daemon is doing."""
    with session.client() as client:
        answer = client.get_status()
    session.out.facts(answer, lambda: status_lines(answer))


def status_lines(answer: GetStatusResponse) -> list[str]:
    """How the daemon is doing, for people."""
    from schedd.cli.views import fact_lines, instant, word
    from schedd.v1.admin_service_pb2 import DaemonState
    from schedd.v1.schedule_pb2 import ScheduleState

    now = instant(answer.current_time)
    counts = ", ".join(f"{item.count} {word(ScheduleState, item.state).lower()}" for item in answer.schedule_counts if item.count)
    executions = (
        ("armed", answer.armed_count),
        ("queued", answer.queued_count),
        ("running", answer.running_count),
        ("waiting for a retry", answer.waiting_retry_count),
    )
    lines = [
        ("Daemon", f"schedd {answer.version}, {word(DaemonState, answer.state).lower()}, pid {answer.pid} on {answer.host}"),
        ("Started", _when_text(instant(answer.start_time), now)),
        ("Listens at", ", ".join(answer.listen_addresses)),
        ("Schedules", counts or f"{answer.store.schedule_count} stored"),
        (
            "Next",
            f"{instant_text(instant(answer.next_time))} ({relative_text(instant(answer.next_time), now)})"
            if answer.HasField("next_time")
            else "",
        ),
        ("Executions", ", ".join(f"{count} {name}" for name, count in executions)),
        ("Lateness p99", rough_text(answer.lateness_p99.ToTimedelta()) if answer.HasField("lateness_p99") else ""),
        ("Watchers", str(answer.watcher_count)),
        ("Store", f"{answer.store.path}, {_size_text(answer.store.size_bytes)}, schema {answer.store.schema_version}"),
        ("Journal", f"up to sequence {answer.store.last_sequence}"),
        ("Clock", _clock_text(now)),
        ("Zone data", answer.time_zone_data_version),
        ("Moved by it", ", ".join(map(short_name, answer.moved_schedules))),
        *(("Circuit open", _circuit_text(circuit, now)) for circuit in answer.circuits),
    ]
    return [*fact_lines(lines), *(f"Warning: {warning}" for warning in answer.warnings)]


def _circuit_text(circuit: CircuitStatus, now: datetime) -> str:
    from schedd.cli.views import instant

    since = rough_text(now - instant(circuit.open_time))
    probes = "probes are under way" if circuit.half_open else f"the next probe goes {relative_text(instant(circuit.probe_time), now)}"
    held = f"{circuit.held_count} execution{'' if circuit.held_count == 1 else 's'} held back"
    return f"{circuit.host} for {since} ({circuit.failure_rate:.0%} of calls failed), {probes}, {held}"


def _when_text(moment: datetime, now: datetime) -> str:
    return f"{instant_text(moment)} ({relative_text(moment, now)})"


def _clock_text(daemon: datetime) -> str:
    gap = abs(datetime.now(UTC) - daemon)
    return f"{rough_text(gap)} away from this machine's" if gap > timedelta(seconds=2) else ""


def _size_text(count: int) -> str:
    size, unit = float(count), "B"
    for larger in ("KiB", "MiB", "GiB", "TiB"):
        if size < 1024:
            break
        size, unit = size / 1024, larger
    return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"


@command(
    "health",
    examples="""
schedctl server health && echo it serves
""",
)
@click.pass_obj
def health(session: Session) -> None:
    """Ask whether the daemon serves.

    Exit code 0: it does; 5: it does not, or nobody answers.
    """
    with session.client() as client:
        answer = client.check_health()
    serving = answer.status == type(answer).SERVING
    name = type(answer).ServingStatus.Name(answer.status)
    session.out.facts(answer, lambda: [name.lower().replace("_", " ")])
    if not serving:
        raise CommandError(f"the daemon at {session.server_text} does not serve now", code=ExitCode.UNAVAILABLE)


@command(
    "journal",
    examples="""
schedctl server journal
schedctl server journal nightly-backup -n 100
schedctl server journal --filter 'kind = SCHEDULE_PAUSED' -o json
""",
)
@click.argument("name", required=False, shell_complete=complete_schedule)
@click.option("-n", "--count", type=click.IntRange(1), default=20, show_default=True, help="At most this many.")
@click.option("--filter", "extra", metavar="FILTER", help="The API's own filter, such as: actor != schedd.")
@click.option("--oldest", is_flag=True, help="From the oldest entry on, in place of the newest.")
@click.pass_obj
def journal(session: Session, name: str | None, count: int, extra: str | None, oldest: bool) -> None:
    """Show what was decided and changed, by whom and why."""
    from schedd.cli.journal_views import journal_view

    own = [f'schedule = "{schedule_name(name)}"'] if name else []
    chosen = " AND ".join([*own, *([extra] if extra else [])])
    order = "sequence" if oldest else "sequence desc"
    with session.client() as client:
        entries = list(islice(client.list_journal(filter=chosen, order_by=order, page_size=min(count, 1000)), count))
    session.out.many(journal_view(datetime.now(UTC)), entries)


@command(
    "version",
    examples="""
schedctl server version
schedctl server version -o json
""",
)
@click.pass_obj
def version(session: Session) -> None:
    """Show schedctl's version and the daemon's."""
    own = package_version("schedd")
    with session.client() as client:
        daemon = client.get_status().version
    if session.format in (Format.JSON, Format.YAML):
        session.out.data({"schedctl": own, "schedd": daemon})
    else:
        session.out.lines([f"schedctl {own}", f"schedd   {daemon}"])
