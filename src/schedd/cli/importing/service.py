"""What a timer starts: a service unit as a process target, with what cannot be said of it as notes.

Source: systemd.service(5), systemd.exec(5).
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from schedd.cli.importing.carried import literal, literals
from schedd.cli.importing.execline import commands_of, shell_line
from schedd.cli.importing.host import home_of, own_account
from schedd.cli.importing.unitlimits import LIMIT_KEYS, resource_limits
from schedd.cli.importing.units import Unit, UnitError
from schedd.cli.importing.unitvalues import expanded, is_absolute, span_of, words_of
from schedd.cli.spans import duration_text

_SERVICE = "Service"
_SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_LONGEST_GRACE = timedelta(minutes=10)
_TAKEN_OVER = frozenset(
    (
        *("Type", "ExecStart", "ExecStartPre", "User", "Group", "WorkingDirectory", "Environment", "EnvironmentFile", "UMask", "Nice"),
        *("TimeoutStartSec", "TimeoutSec", "TimeoutStopSec", "RuntimeMaxSec", "SuccessExitStatus"),
    )
)
_WITHOUT_EFFECT = frozenset(
    (
        *("KillMode", "ExecReload", "SyslogIdentifier", "SyslogFacility", "SyslogLevel", "LogLevelMax", "GuessMainPID", "NotifyAccess"),
        *("SendSIGKILL", "OOMPolicy"),
    )
)
_IMPOSSIBLE = {
    "DynamicUser": "an account made for each run",
    "RootDirectory": "another root directory",
    "RootImage": "a disk image as root",
    "PAMName": "a PAM session",
}
_UNIT_KEYS = ("Requires", "Requisite", "BindsTo", "OnFailure", "OnSuccess")


@dataclass(slots=True)
class ServiceReader:
    """Reads one service; `notes` gather what is otherwise than under systemd."""

    unit: Unit
    specifiers: Mapping[str, str]
    user_manager: bool
    notes: list[str] = field(default_factory=list)

    def keys(self) -> dict[str, Any]:
        """The keys of the schedule that come from the service. Raises: UnitError."""
        self._refuse_impossible()
        process = self._process()
        keys: dict[str, Any] = {"process": process}
        if description := self._text("Unit", "Description"):
            keys = {"description": description[:1000], **keys}
        timeout = self._timeout()
        if timeout is not None:
            keys["timeout"] = duration_text(timeout)
        self._note_the_rest()
        return keys

    def _refuse_impossible(self) -> None:
        for key, what in _IMPOSSIBLE.items():
            if self.unit.last(_SERVICE, key).lower() not in ("", "no", "false", "0", "off"):
                raise UnitError(f"{key}= wants {what}, which schedd cannot give; leave it with systemd")
        kind = self.unit.last(_SERVICE, "Type")
        if kind == "forking":
            raise UnitError("Type=forking goes on in the background, where schedd does not follow; leave it with systemd")
        if kind in ("notify", "notify-reload", "dbus"):
            self.notes.append(f"Type={kind}: for schedd it runs from its start to its end")

    def _process(self) -> dict[str, Any]:
        user = self._user()
        process = self._command(user)
        process["user"] = user
        if group := self._text(_SERVICE, "Group"):
            process["group"] = group
        if directory := self._directory(user):
            process["working_directory"] = directory
        if env := self._environment(user):
            process["env"] = {name: literal(value) for name, value in env.items()}
        process["umask"] = self.unit.last(_SERVICE, "UMask") or "022"
        if nice := self.unit.last(_SERVICE, "Nice"):
            process["nice"] = self._integer("Nice", nice)
        if limits := resource_limits(self.unit, _SERVICE, self.notes):
            process["resource_limits"] = limits
        if len(codes := self._exit_codes()) > 1:
            process["success_exit_codes"] = codes
        if grace := self._grace():
            process["kill_grace"] = duration_text(grace)
        return process

    def _user(self) -> str:
        return self._text(_SERVICE, "User") or (own_account() if self.user_manager else "root")

    def _command(self, user: str) -> dict[str, Any]:
        lines = self.unit.all(_SERVICE, "ExecStart")
        if not lines:
            raise UnitError(f"{self.unit.name} has no ExecStart=")
        commands = commands_of([*self.unit.all(_SERVICE, "ExecStartPre"), *lines], self.specifiers)
        if user not in ("root", "0") and any(command.is_privileged for command in commands):
            raise UnitError(f"a command with + or ! runs as root though the service runs as {user}; make it a schedule of its own")
        if any("@" in command.prefixes for command in commands):
            self.notes.append("the other name that @ gives to a program is left out")
        files = [expanded(file, self.specifiers) for file in self.unit.all(_SERVICE, "EnvironmentFile")]
        if files:
            self.notes.append("EnvironmentFile= is read by the shell at each run, so it has to be in the shell's syntax as well")
        if len(commands) == 1 and not files and not commands[0].may_fail and not commands[0].has_variables:
            return {"argv": literals(commands[0].argv)}
        return {"command": literal(shell_line(commands, files))}

    def _directory(self, user: str) -> str:
        written = self._text(_SERVICE, "WorkingDirectory")
        if written.startswith("-"):
            self.notes.append(f"WorkingDirectory={written}: the directory has to be there")
        path = home_of(user) if written.removeprefix("-") == "~" else written.removeprefix("-")
        if written and not is_absolute(path):
            raise UnitError(f"WorkingDirectory={written} is not a directory of this host")
        return path

    def _environment(self, user: str) -> dict[str, str]:
        env = {} if user in ("root", "0") else {"PATH": _SYSTEM_PATH}
        for line in self.unit.all(_SERVICE, "Environment"):
            for word in words_of(expanded(line, self.specifiers)):
                name, equals, value = word.partition("=")
                if not equals:
                    raise UnitError(f"Environment={line} has {word!r}, which is no NAME=VALUE")
                env[name] = value
        return env

    def _timeout(self) -> timedelta | None:
        is_oneshot = self.unit.last(_SERVICE, "Type") == "oneshot"
        key = "TimeoutStartSec" if is_oneshot else "RuntimeMaxSec"
        value = self.unit.last(_SERVICE, key) or (self.unit.last(_SERVICE, "TimeoutSec") if is_oneshot else "")
        return (span_of(value) or None) if value else None

    def _grace(self) -> timedelta | None:
        value = self.unit.last(_SERVICE, "TimeoutStopSec") or self.unit.last(_SERVICE, "TimeoutSec")
        grace = span_of(value) if value else None
        if value and (grace is None or grace > _LONGEST_GRACE):
            self.notes.append(f"TimeoutStopSec={value}: between SIGTERM and SIGKILL are 10 minutes at most")
            return _LONGEST_GRACE
        return grace

    def _exit_codes(self) -> list[int]:
        codes = {0}
        for word in " ".join(self.unit.all(_SERVICE, "SuccessExitStatus")).split():
            named = getattr(os, f"EX_{word}", None)
            if word.isdecimal():
                codes.add(int(word))
            elif isinstance(named, int):
                codes.add(named)
            else:
                self.notes.append(f"SuccessExitStatus={word}: only exit codes can count as success")
        return sorted(codes)

    def _note_the_rest(self) -> None:
        conditions = [
            f"{item.key}={item.value}"
            for item in self.unit.settings
            if item.section == "Unit" and item.key.startswith(("Condition", "Assert"))
        ]
        if conditions:
            self.notes.append(f"the service's conditions are not looked at: {', '.join(conditions)}")
        restart = self.unit.last(_SERVICE, "Restart")
        if restart not in ("", "no"):
            self.notes.append(f"Restart={restart}: schedd tries once; `retry: {{max_attempts: 4}}` has it try again")
        rest = [key for key in _UNIT_KEYS if self.unit.last("Unit", key)]
        known = _TAKEN_OVER | LIMIT_KEYS | _WITHOUT_EFFECT | _IMPOSSIBLE.keys() | {"Restart"}
        rest += [key for key in self.unit.keys(_SERVICE) if key not in known and not self._is_default(key)]
        if rest:
            self.notes.append(f"not carried over: {', '.join(rest)}")

    def _is_default(self, key: str) -> bool:
        return key in ("StandardOutput", "StandardError", "StandardInput") and self.unit.last(_SERVICE, key) in (
            "journal",
            "inherit",
            "null",
        )

    def _text(self, section: str, key: str) -> str:
        return expanded(self.unit.last(section, key), self.specifiers)

    def _integer(self, key: str, value: str) -> int:
        try:
            return int(value)
        except ValueError:
            raise UnitError(f"{key}={value} is not a whole number") from None
