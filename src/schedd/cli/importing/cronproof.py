"""The proof of a crontab line: the schedule that was written beside Vixie cron's own matching."""

from __future__ import annotations

from functools import lru_cache

from schedd.cli.importing.carried import Carried
from schedd.cli.importing.crontab import AT_BOOT
from schedd.cli.importing.host import CronKind
from schedd.cli.importing.proof import Finding, Span, Verdict, compared, our_times
from schedd.cli.importing.vixie import CronDrawsError, fire_minutes, read_entry
from schedd.v1.schedule_pb2 import Schedule


def prove(item: Carried, schedule: Schedule, span: Span, *, kind: CronKind) -> Finding:
    """What the two readings of a crontab line's times have to say of each other.

    cron's side starts from the crontab's own text, not from the schedule's expression.
    """
    zone, times = schedule.time_zone, _times_of(item.text)
    if times == AT_BOOT:
        return Finding(verdict=Verdict.UNPROVED, text=f"{AT_BOOT} has no times by the clock")
    try:
        theirs = _cron_seconds(times, zone, span, kind)
    except CronDrawsError as error:
        return Finding(verdict=Verdict.UNPROVED, text=str(error))
    return compared(theirs, our_times(schedule, span), who="cron", time_zone=zone)


@lru_cache(maxsize=256)
def _cron_seconds(times: str, time_zone: str, span: Span, kind: CronKind) -> tuple[int, ...]:
    return tuple(minute * 60 for minute in fire_minutes(read_entry(times, kind), time_zone, span.start // 60, span.end // 60))


def _times_of(line: str) -> str:
    return line.split(None, 1)[0] if line.startswith("@") else " ".join(line.split(None, 5)[:5])
