"""Moving in from cron and from systemd's timers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from schedd.cli.commanding import command
from schedd.cli.failures import CommandError, UsageFault
from schedd.cli.output import Format
from schedd.cli.session import Session

if TYPE_CHECKING:
    from schedd.cli.importing.carried import Carried, Imported
    from schedd.cli.importing.proof import Finding, Span
    from schedd.v1.schedule_pb2 import Schedule


def _common(function: Callable[..., Any]) -> Callable[..., Any]:
    """The options that both imports have."""
    options = (
        click.option("-w", "--write", metavar="FILE", help="Where to write the schedules; stdout if not given."),
        click.option("-z", "--tz", metavar="ZONE", help="The time zone that the times are in; this host's if not given."),
        click.option("--anyway", is_flag=True, help="Write what can be written, though something is refused or would fire at other times."),
    )
    for option in reversed(options):
        function = option(function)
    return function


@command(
    "crontab",
    examples="""
schedctl import crontab --user -w schedules.yaml
schedctl import crontab --user alice
schedctl import crontab --system
schedctl import crontab backup.crontab --tz Europe/Berlin
""",
)
@click.argument("files", nargs=-1, metavar="[FILE]...")
@click.option("--user", is_flag=False, flag_value="", metavar="[NAME]", help="A user's crontab; your own without a name.")
@click.option("--system", is_flag=True, help="/etc/crontab and /etc/cron.d; with FILEs: they have a user column.")
@click.option("--cron", "kind", type=click.Choice(["debian", "cronie"]), help="Whose crontab(5) is meant; this host's if not given.")
@_common
@click.pass_obj
def crontab(
    session: Session,
    files: tuple[str, ...],
    user: str | None,
    system: bool,
    kind: str | None,
    write: str | None,
    tz: str | None,
    anyway: bool,
) -> None:
    """Write a crontab's lines as a schedules file.

    Proves that nothing changes: the fire times of the coming year are worked out as cron has them and as schedd has them, and
    compared. Nothing is sent to the daemon; `schedctl apply -f FILE` does that.
    """
    from schedd.cli.importing import sources
    from schedd.cli.importing.cronproof import prove
    from schedd.cli.importing.crontab import Reading, read_crontabs
    from schedd.cli.importing.host import CronKind, host_cron

    sources.check_source(files, user, system)
    if user is not None:
        found = [sources.user_crontab(user)]
    elif files:
        found = sources.crontab_files(files, system=system)
    else:
        found, remarks = sources.system_crontabs()
        for remark in remarks:
            session.out.note(remark)
    reading = Reading(kind=CronKind(kind) if kind else host_cron(), time_zone=_zone(tz))
    imported = read_crontabs(found, reading)
    _finish(session, imported, partial(prove, kind=reading.kind), write=write, anyway=anyway)


@command(
    "systemd",
    examples="""
schedctl import systemd fstrim.timer logrotate -w schedules.yaml
schedctl import systemd ./backup.timer --tz Europe/Berlin
schedctl import systemd --user mail-sync
""",
)
@click.argument("units", nargs=-1, required=True, metavar="UNIT...")
@click.option("--user", is_flag=True, help="Units of your own service manager, not of the system's.")
@_common
@click.pass_obj
def systemd(session: Session, units: tuple[str, ...], user: bool, write: str | None, tz: str | None, anyway: bool) -> None:
    """Write systemd timers as a schedules file.

    UNIT is a timer's name, which is looked up where systemd does, or the path of a .timer file; the service that it starts is read
    as well, and the drop-ins of both. The fire times of the coming year are compared with those of systemd-analyze, where that is
    installed. Nothing is sent to the daemon; `schedctl apply -f FILE` does that.
    """
    from schedd.cli.importing.calendarproof import prove
    from schedd.cli.importing.systemd import read_timers
    from schedd.cli.importing.units import UnitFiles

    imported = read_timers(units, UnitFiles.of(user=user), _zone(tz), user=user)
    _finish(session, imported, prove, write=write, anyway=anyway)


def _zone(told: str | None) -> str:
    from schedd.cli.importing.host import host_zone
    from schedd.core.triggers.zonename import is_zone

    if told is not None and not is_zone(told):
        raise UsageFault(f"{told!r} is not the name of a time zone, such as Europe/Berlin")
    return told or host_zone()


def _finish(
    session: Session,
    imported: Imported,
    prove: Callable[[Carried, Schedule, Span], Finding],
    *,
    write: str | None,
    anyway: bool,
) -> None:
    """Prove the import, say what there is to say, and write the file unless something is wrong."""
    from schedd.cli.importing.proof import Span, Verdict
    from schedd.cli.importing.writing import read_back

    schedules = read_back(imported)  # what is proved is what the written file says
    span = Span.year_from(datetime.now(UTC))
    findings = [prove(item, schedules[item.name], span) for item in imported.carried]
    counts = Counter(finding.verdict for finding in findings)
    _tell_notes(session, imported)
    troubles = _troubles(imported, findings)
    if troubles and not anyway:
        count = f"{len(imported.refused)} refused, {counts[Verdict.DIFFERENT]} with other times"
        raise CommandError(f"nothing was written: {count}", [*troubles, "--anyway writes the rest, and says this beside each of them"])
    for line in troubles:
        session.out.note(line)
    _write(session, imported, findings, write)
    for item, finding in zip(imported.carried, findings, strict=True):
        if finding.verdict is Verdict.UNPROVED:
            session.out.note(f"{item.where}: {item.name}\n    {finding.word}: {finding}")
    session.out.note(
        f"schedules: {len(findings)}; the times of {counts[Verdict.EQUAL]} proved to be the same, "
        f"of {counts[Verdict.DIFFERENT]} to differ; of {counts[Verdict.UNPROVED]} not proved"
    )


def _tell_notes(session: Session, imported: Imported) -> None:
    """Tell what is otherwise than before; what is so for several schedules is told once."""
    from schedd.cli.importing.carried import shown

    counts = Counter(note for item in imported.carried for note in item.notes)
    for item in imported.carried:
        own = [f"    note: {note}" for note in item.notes if counts[note] == 1]
        if own:
            session.out.note("\n".join([f"{item.where}: {item.name}", *map(shown, own)]))
    for note, count in counts.items():
        if count > 1:
            session.out.note(f"{count} schedules\n    note: {shown(note)}")


def _troubles(imported: Imported, findings: Sequence[Finding]) -> list[str]:
    """What was refused, and what would fire at other times, two lines each."""
    from schedd.cli.importing.carried import shown
    from schedd.cli.importing.proof import Verdict

    lines = []
    for item, finding in zip(imported.carried, findings, strict=True):
        if finding.verdict is Verdict.DIFFERENT:
            lines += [f"{item.where}: {item.text}", f"    {finding.word}: {finding}"]
    for refused in imported.refused:
        lines += [f"{refused.where}: {refused.text}", f"    refused: {refused.reason}"]
    return [shown(line) for line in lines]


def _write(session: Session, imported: Imported, findings: Sequence[Finding], write: str | None) -> None:
    from schedd.cli.importing.writing import json_text, yaml_text

    if session.format is Format.NAME:
        text = "".join(f"{item.name}\n" for item in imported.carried)
    elif session.format is Format.JSON:
        text = json_text(imported)
    else:
        text = yaml_text(imported, findings, imported.defaults["labels"]["imported-from"])
    if write is None:
        session.out.lines(text.removesuffix("\n").split("\n"))
        return
    try:
        # A crontab's variables may be secrets: a new file is its owner's alone.
        Path(write).touch(mode=0o600)
        Path(write).write_text(text, encoding="utf-8")
    except OSError as error:
        raise CommandError(f"{write} cannot be written: {error.strerror}") from error
