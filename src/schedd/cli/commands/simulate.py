"""Running a schedules file through the engine ahead of time, without a server: how often it fires, and how much of it at once."""

from __future__ import annotations

import zoneinfo
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta, tzinfo
from itertools import islice
from statistics import median
from typing import TYPE_CHECKING, Any

import click

from schedd.cli.commanding import DURATION, command
from schedd.cli.failures import CommandError, UsageFault
from schedd.cli.names import schedule_name, short_name
from schedd.cli.output import Format
from schedd.cli.session import Session
from schedd.cli.spans import duration_text, parse_duration, parse_instant, rough_text

if TYPE_CHECKING:
    from schedd.cli.manifest import Manifest
    from schedd.core.errors import InvalidError
    from schedd.simulation.flattening import Flattening
    from schedd.simulation.forecast import Forecast
    from schedd.simulation.load import Day

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_MEASURED = 20
"""How many of its newest executions say how long a schedule's take."""
_NOTICED_US = 1_000_000
"""From this lateness on it is told."""


@command(
    "simulate",
    examples="""
schedctl simulate schedules.yaml --days 7
schedctl simulate schedules/ --duration 20s --duration nightly-backup=2h
schedctl simulate schedules.yaml --measured --start 2026-03-29 -z Europe/Berlin -o json
""",
)
@click.argument("files", nargs=-1, required=True, metavar="FILE|DIR|-...")
@click.option("--days", type=click.IntRange(1, 366), default=7, show_default=True, help="How many days.")
@click.option("--start", metavar="TIME", help="From when on; now, at the full minute, if not given.")
@click.option(
    "--duration", "durations", multiple=True, metavar="[NAME=]TIME", help="How long a run takes, of all or of one; 1s if not given."
)
@click.option("--measured", is_flag=True, help="Ask the server how long the newest executions took; --duration is for the others.")
@click.option(
    "--shift", type=DURATION, default=timedelta(minutes=15), metavar="TIME", help="The most that an offset may be; 15m if not given."
)
@click.option("-z", "--tz", default="UTC", show_default=True, metavar="ZONE", help="The IANA zone of the map's day.")
@click.pass_obj
def simulate(
    session: Session,
    files: tuple[str, ...],
    days: int,
    start: str | None,
    durations: tuple[str, ...],
    measured: bool,
    shift: timedelta,
    tz: str,
) -> None:
    """Run schedules files ahead of time: fires, load, offsets.

    The daemon's own engine runs them on virtual time. Shows how often each fires, how many run at once by the minute of the busiest day,
    and offsets that would flatten the peaks. Nothing is called, and no server is needed: a run is taken to succeed after its --duration.
    The files' schedules are taken to be created at the start.
    """
    from schedd.cli.manifest import load_files

    zone = _zone(tz)
    manifest = load_files(files)
    if not manifest.schedules:
        raise UsageFault("the files have no schedules")
    names = {written.schedule.name for written in manifest.schedules}
    default, given = _durations(durations, names)
    known = {**(_measured(session, names) if measured else {}), **given}
    forecast = _foresee(manifest, _start_us(start, zone), timedelta(days=days), default, known)
    _show(session, forecast, zone, shift, [f"a run takes {duration_text(default)}{_but(known)}"])


def _zone(name: str) -> tzinfo:
    try:
        return zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise UsageFault(f"{name!r} is no IANA time zone, such as Europe/Berlin") from error


def _start_us(text: str | None, zone: tzinfo) -> int:
    try:
        start = datetime.now(UTC).replace(second=0, microsecond=0) if text is None else parse_instant(text, zone)
    except ValueError as error:
        raise UsageFault(str(error)) from error
    return (start - _EPOCH) // _MICROSECOND


def _durations(texts: Sequence[str], names: set[str]) -> tuple[timedelta, dict[str, timedelta]]:
    """The duration of all, and those of single schedules by resource name."""
    default, given = timedelta(seconds=1), {}
    for text in texts:
        name, _, span = text.rpartition("=")
        try:
            duration = parse_duration(span)
        except ValueError as error:
            raise UsageFault(f"--duration {text}: {error}") from error
        if not name:
            default = duration
        elif (full := schedule_name(name)) in names:
            given[full] = duration
        else:
            raise UsageFault(f"--duration {text}: the files have no schedule {name!r}")
    return default, given


def _measured(session: Session, names: set[str]) -> dict[str, timedelta]:
    """How long the newest executions of each of these schedules took that the server knows and that succeeded: the middle one."""
    found = {}
    with session.client() as client:
        for name in sorted(names):
            newest = islice(client.list_executions(name, filter="outcome=SUCCEEDED"), _MEASURED)
            took = [(each.finish_time.ToDatetime() - each.start_time.ToDatetime()).total_seconds() for each in newest]
            if took:
                found[name] = timedelta(seconds=median(took))
    return found


def _foresee(manifest: Manifest, start_us: int, span: timedelta, duration: timedelta, durations: dict[str, timedelta]) -> Forecast:
    """Raises: CommandError with what is wrong in the files."""
    from schedd.core.errors import InvalidError, ScheddError
    from schedd.simulation.forecast import FIRES_MAX, Question, TooManyFiresError, foresee

    question = Question(
        schedules=[written.schedule for written in manifest.schedules],
        calendars=[written.calendar for written in manifest.calendars],
        start_us=start_us,
        span=span,
        duration=duration,
        durations=durations,
    )
    try:
        return foresee(question)
    except InvalidError as error:
        raise CommandError("the schedules cannot be simulated", list(_fault_lines(manifest, error))) from error
    except ScheddError as error:
        raise CommandError(f"the schedules cannot be simulated: {error}") from error
    except TooManyFiresError as error:
        raise CommandError(f"that is more than {FIRES_MAX:,} fires; --days takes fewer days") from error


def _fault_lines(manifest: Manifest, error: InvalidError) -> Iterator[str]:
    """What is wrong, each at its place in the files."""
    for violation in error.violations:
        parent, _, path = violation.field.partition("].")
        kind, _, index = parent.partition("[")
        written = manifest.schedules[int(index)] if kind == "requests" else manifest.calendars[int(index)]
        path = path.removeprefix("schedule.")
        first, *rest = violation.description.splitlines() or [""]
        yield f"{written.place_of(path)}: {path}: {first}"
        yield from (f"    {line}" for line in rest)


def _show(session: Session, forecast: Forecast, zone: tzinfo, shift: timedelta, remarks: list[str]) -> None:
    from schedd.simulation.flattening import flatten
    from schedd.simulation.load import busiest_day, spans_of

    day = busiest_day(forecast, zone)
    end_us = day.start_us + len(day.peaks) * 60 * 1_000_000
    busy = {runs.name: [span for span in spans_of(runs) if day.start_us <= span[0] < end_us] for runs in forecast.schedules}
    flattening = flatten(busy, start_us=day.start_us, at_most=shift)
    match session.format:
        case Format.JSON | Format.YAML:
            session.out.data(_as_data(forecast, day, flattening, zone))
        case Format.NAME:
            session.out.lines(short_name(runs.name) for runs in forecast.schedules)
        case Format.TABLE:
            _show_table(session, forecast)
            _show_day(session, day, zone)
            _show_offsets(session, flattening, shift)
            for remark in remarks:
                session.out.note(remark)


def _show_table(session: Session, forecast: Forecast) -> None:
    from schedd.cli.tables import Cell, Column
    from schedd.simulation.load import peak

    columns = [
        Column(title="NAME", elastic=True),
        Column(title="FIRES", right=True),
        Column(title="SKIPPED", right=True),
        Column(title="TIMED OUT", right=True, rank=2),
        Column(title="AT ONCE", right=True),
        Column(title="LATEST", right=True, rank=1),
    ]
    rows = [
        [
            Cell(short_name(runs.name)),
            Cell(f"{runs.fires:,}"),
            Cell(f"{runs.skipped:,}" if runs.skipped else "-", "yellow" if runs.skipped else ""),
            Cell(f"{runs.timed_out:,}" if runs.timed_out else "-", "red" if runs.timed_out else ""),
            Cell(str(peak(runs))),
            Cell(rough_text(timedelta(microseconds=runs.latest_us)) if runs.latest_us >= _NOTICED_US else "-"),
        ]
        for runs in forecast.schedules
    ]
    session.out.table(columns, rows)


def _show_day(session: Session, day: Day, zone: tzinfo) -> None:
    from schedd.cli.heatmap import legend, map_lines

    start = _local(day.start_us, zone)
    session.out.lines(["", f"Busiest day: {start:%A, %Y-%m-%d}, {zone}; at most {max(day.peaks)} at once"])
    session.out.lines(map_lines(start, day.peaks, session.out.paint))
    session.out.lines([f"      {legend(day.peaks)}", ""])


def _show_offsets(session: Session, flattening: Flattening, shift: timedelta) -> None:
    if not flattening.offsets:
        session.out.lines([f"No offsets below {duration_text(shift)} were found that would lower that day's peak of {flattening.before}."])
        return
    session.out.lines([f"Offsets that would lower that day's peak from {flattening.before} to {flattening.after}:"])
    width = max(len(short_name(name)) for name in flattening.offsets)
    session.out.lines(f"  {short_name(name):<{width}}  +{duration_text(offset)}" for name, offset in flattening.offsets.items())
    session.out.note("found for one schedule after the other, the busiest first, by the second; not simulated again")


def _but(known: dict[str, timedelta]) -> str:
    return "".join(f"; of {short_name(name)} {duration_text(duration)}" for name, duration in sorted(known.items()))


def _as_data(forecast: Forecast, day: Day, flattening: Flattening, zone: tzinfo) -> dict[str, Any]:
    from schedd.simulation.load import peak

    return {
        "start": _text(forecast.start_us),
        "end": _text(forecast.end_us),
        "schedules": [
            {
                "name": runs.name,
                "fires": runs.fires,
                "skipped": runs.skipped,
                "timed_out": runs.timed_out,
                "at_once": peak(runs),
                "latest_s": runs.latest_us / 1e6,
            }
            for runs in forecast.schedules
        ],
        "busiest_day": {"start": _local(day.start_us, zone).isoformat(), "at_once": max(day.peaks), "by_minute": list(day.peaks)},
        "offsets": {
            "at_once_before": flattening.before,
            "at_once_after": flattening.after,
            "by_schedule_s": {name: offset.total_seconds() for name, offset in flattening.offsets.items()},
        },
    }


def _local(at_us: int, zone: tzinfo) -> datetime:
    return (_EPOCH + timedelta(microseconds=at_us)).astimezone(zone)


def _text(at_us: int) -> str:
    return _local(at_us, UTC).isoformat().replace("+00:00", "Z")
