"""Crontabs, read line by line as cron reads them, into schedules.

Source: crontab(5) of Debian's cron 3.0pl1 and of cronie; `CronKind` says whose where they differ. Each command keeps what cron gives
it: the shell, the home directory as working directory, the variables set above it, the umask 022, and no more.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from schedd.cli.document import Place
from schedd.cli.importing.carried import Carried, Imported, Names, Refused, literal, literals
from schedd.cli.importing.commandname import words_of_command
from schedd.cli.importing.host import CronKind, home_of
from schedd.cli.importing.vixie import CronDrawsError, CronRefusalError, read_entry
from schedd.core.errors import ExpressionError
from schedd.core.model.when import Expression, When
from schedd.core.triggers import compile_when
from schedd.core.triggers.zonename import is_zone

_SETTING = re.compile(
    r"""(?:"(?P<double>[^"=]+)"|'(?P<single>[^'=]+)'|(?P<bare>[^\s=]+))\s*=\s*(?:"(?P<value_double>[^"]*)"|'(?P<value_single>[^']*)'|(?P<value>[^"'].*?|))\s*"""
)
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_SHELL = "/bin/sh"
_PATH = "/usr/bin:/bin"
_OURS = frozenset({"SHELL", "MAILTO", "LOGNAME", "USER", "CRON_TZ", "RANDOM_DELAY"})
"""Variables that say how cron runs a command, or that it does not let anybody set: they are not handed on as they are."""
AT_BOOT = "@reboot"
_BOOT_NOTE = "@reboot: cron runs it once after a boot; schedd at each start of the daemon, also where that is a mere restart"
_UNENDED_NOTE = "the last line has no line end: Debian's cron runs nothing of such a file"

DEFAULTS: dict[str, Any] = {
    "labels": {"imported-from": "crontab"},
    "overlap": "ALLOW_ALL",
    "catch_up": "NONE",
    "retry": {"max_attempts": 1},
}
"""What cron does: start each time whatever still runs, catch up on nothing, try once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Crontab:
    """One crontab's text. `owner` is whose it is; empty for a system crontab, whose lines have a column that says so."""

    file: str
    text: str
    owner: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """How crontabs are to be read."""

    kind: CronKind
    time_zone: str


class _LineError(Exception):
    """A line cannot be carried over; the text says why."""


@dataclass(slots=True)
class _Reader:
    """Reads one crontab; the settings hold for the lines below them."""

    crontab: Crontab
    reading: Reading
    names: Names
    settings: dict[str, str] = field(default_factory=dict)

    def read(self) -> Iterator[Carried | Refused]:
        lines = self.crontab.text.split("\n")
        for number, raw in enumerate(lines, 1):
            line = raw.lstrip(" \t")
            if not line or line.startswith("#"):
                continue
            match = _SETTING.fullmatch(line)
            if match is not None:
                name = match["double"] or match["single"] or match["bare"]
                self.settings[name] = match["value_double"] or match["value_single"] or match["value"] or ""
                continue
            place = Place(file=self.crontab.file, line=number)
            try:
                yield self._entry(place, line, is_unended=number == len(lines))
            except _LineError as error:
                yield Refused(where=str(place), text=raw.strip(), reason=str(error))

    def _entry(self, place: Place, line: str, *, is_unended: bool) -> Carried:
        notes = [_UNENDED_NOTE] if is_unended and self.reading.kind is CronKind.DEBIAN else []
        if line.startswith("-") and self.reading.kind is CronKind.CRONIE:
            line = line[1:].lstrip(" \t")
        expression, rest = _expression(line)
        user, command = self._user(rest)
        time_zone = self._time_zone(notes)
        self._check(expression, time_zone)
        shell_line, stdin = split_percent(command)
        document: dict[str, Any] = {"name": self.names.name(*words_of_command(shell_line)), "schedule": expression}
        if time_zone != self.reading.time_zone:
            document["time_zone"] = time_zone
        document |= self._spread(notes)
        document["process"] = self._process(shell_line, stdin, user, notes)
        notes += [_BOOT_NOTE] if expression == AT_BOOT else []
        notes += self._mail_notes()
        return Carried(where=str(place), text=line.rstrip(), document=document, notes=tuple(notes))

    def _user(self, rest: str) -> tuple[str, str]:
        user = self.crontab.owner
        if not user:
            user, rest = (*rest.split(None, 1), "", "")[:2]
        if not rest.strip():
            raise _LineError("there is no command" + ("" if self.crontab.owner else "; a system crontab has a user before it"))
        if user.startswith("*") or rest.startswith("*"):
            raise _LineError("a `*` stands where the command begins: cron has five time fields, and does not take this line")
        return user, rest

    def _time_zone(self, notes: list[str]) -> str:
        told = self.settings.get("CRON_TZ", "")
        if not told:
            return self.reading.time_zone
        if self.reading.kind is CronKind.DEBIAN:
            notes.append(f"CRON_TZ={told} is not obeyed by Debian's cron, nor here; --cron cronie obeys it")
            return self.reading.time_zone
        if not is_zone(told):
            raise _LineError(f"CRON_TZ={told} is not the name of a time zone, such as Europe/Berlin")
        return told

    def _check(self, expression: str, time_zone: str) -> None:
        """Raises: _LineError for what cron or schedd does not take."""
        if expression == AT_BOOT:
            return
        try:
            read_entry(expression, self.reading.kind)
        except CronDrawsError:
            pass
        except CronRefusalError as error:
            raise _LineError(str(error)) from error
        try:
            compile_when(When(triggers=(Expression(text=expression),), time_zone=time_zone), created_us=0, seed=0)
        except ExpressionError as error:
            suggestion = f"; {error.suggestion}" if error.suggestion else ""
            raise _LineError(f"schedd does not take {expression!r}: {error.reason}{suggestion}") from error

    def _spread(self, notes: list[str]) -> dict[str, Any]:
        delay = self.settings.get("RANDOM_DELAY", "")
        if not delay:
            return {}
        if self.reading.kind is CronKind.DEBIAN:
            notes.append(f"RANDOM_DELAY={delay} is not obeyed by Debian's cron, nor here; --cron cronie obeys it")
            return {}
        if not delay.isdecimal() or not 0 < int(delay) <= 1440:
            raise _LineError(f"RANDOM_DELAY={delay} is not a number of minutes, 1 to 1440")
        notes.append(f"RANDOM_DELAY={delay}: cronie draws one delay at each start of its own; here each schedule has its own, for good")
        return {"spread": {"mode": "STABLE", "window": f"{delay}m"}}

    def _process(self, shell_line: str, stdin: str, user: str, notes: list[str]) -> dict[str, Any]:
        shell = self.settings.get("SHELL") or _SHELL
        command = {"command": literal(shell_line)} if shell == _SHELL else {"argv": literals([shell, "-c", shell_line])}
        process: dict[str, Any] = {**command, "user": user}
        home = self.settings.get("HOME") or home_of(user)
        if home.startswith("/"):
            process["working_directory"] = home
        else:
            why = f"HOME={home} is not an absolute path" if home else f"{user!r} is not an account of this host, so its home is not known"
            notes.append(f"{why}: it runs in / until working_directory says otherwise")
        process["env"] = self._environment(shell)
        process["umask"] = "022"
        if stdin:
            process["stdin"] = literal(stdin)
        return process

    def _environment(self, shell: str) -> dict[str, str]:
        wrong = [name for name in self.settings if _VARIABLE.fullmatch(name) is None]
        if wrong:
            raise _LineError(f"{wrong[0]!r} is set above, and is not a variable's name: letters, digits and underscores")
        env = {"PATH": _PATH, **self.settings}
        env |= {"SHELL": shell} if shell != _SHELL else {}
        return {name: literal(value) for name, value in env.items() if name not in _OURS or (name == "SHELL" and shell != _SHELL)}

    def _mail_notes(self) -> list[str]:
        mail_to = self.settings.get("MAILTO")
        return [f"MAILTO={mail_to}: schedd sends no mail; it keeps the output: schedctl logs NAME"] if mail_to else []


def read_crontabs(crontabs: list[Crontab], reading: Reading) -> Imported:
    """The schedules of these crontabs, named so that no two have the same name."""
    names = Names()
    found = [item for crontab in crontabs for item in _Reader(crontab=crontab, reading=reading, names=names).read()]
    return Imported(
        sources=tuple(crontab.file for crontab in crontabs),
        defaults={"time_zone": reading.time_zone, **DEFAULTS},
        carried=tuple(item for item in found if isinstance(item, Carried)),
        refused=tuple(item for item in found if isinstance(item, Refused)),
    )


def split_percent(command: str) -> tuple[str, str]:
    r"""A command field's shell line, and what is fed to it: `%` ends the line, further ones are newlines; `\%` is a percent sign."""
    line: list[str] = []
    position = 0
    while position < len(command):
        sign = command[position]
        if sign == "\\" and command[position + 1 : position + 2] in ("%", "\\"):
            line.append(command[position + 1])
            position += 2
            continue
        if sign == "%":
            return "".join(line), _stdin(command[position + 1 :])
        line.append(sign)
        position += 1
    return "".join(line), ""


def _stdin(text: str) -> str:
    fed = re.sub(r"(\\?)%", lambda match: "%" if match[1] else "\n", text)
    return fed if not fed or fed.endswith("\n") else fed + "\n"


def _expression(line: str) -> tuple[str, str]:
    """The times of a line, and the rest of it. Raises: _LineError."""
    parts = line.split(None, 1) if line.startswith("@") else line.split(None, 5)
    count = 1 if line.startswith("@") else 5
    if len(parts) == count:
        raise _LineError("there is no command")
    if len(parts) < count:
        beginning = (line.split() or [line])[0]
        raise _LineError(f"{beginning!r} begins neither a setting nor five time fields")
    return " ".join(parts[:count]), parts[count]
