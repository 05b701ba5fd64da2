"""What this host says of itself: its time zone, its accounts, which cron it runs."""

from __future__ import annotations

import os
import pwd
from enum import StrEnum
from pathlib import Path

from schedd.cli.failures import UsageFault
from schedd.core.triggers.zonename import is_zone

_CRONIE = ("usr/sbin/crond", "usr/bin/crond")


class CronKind(StrEnum):
    """Whose crontab(5) is meant where they differ."""

    DEBIAN = "debian"
    """Vixie cron 3.0 as Debian and Ubuntu have it."""
    CRONIE = "cronie"
    """cronie, of Fedora, RHEL, SUSE, Arch; Debian and Ubuntu have it as an option."""


def host_zone(root: Path = Path("/")) -> str:
    """The IANA name of the host's time zone: of TZ, of /etc/localtime, of /etc/timezone; UTC where none is set.

    Raises: UsageFault where it has one without a name.
    """
    told = os.environ.get("TZ", "").removeprefix(":")
    candidates = [told] if told else [_link_zone(root / "etc/localtime"), _first_line(root / "etc/timezone")]
    for name in candidates:
        if is_zone(name):
            return name
    if not told and not (root / "etc/localtime").exists():
        return "UTC"
    raise UsageFault(f"this host's time zone{f', {told!r},' if told else ''} has no IANA name; say which one is meant: --tz Europe/Berlin")


def host_cron(root: Path = Path("/")) -> CronKind:
    """Which cron the host runs, told by its program; Debian's if none is there."""
    return CronKind.CRONIE if any((root / path).exists() for path in _CRONIE) else CronKind.DEBIAN


def home_of(user: str) -> str:
    """The home directory of an account of this host; empty if there is no such account."""
    try:
        return pwd.getpwnam(user).pw_dir
    except (KeyError, ValueError):  # ValueError: no name at all, such as one with a null byte
        return ""


def own_account() -> str:
    """The name of the account that runs this."""
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return str(os.geteuid())


def _link_zone(path: Path) -> str:
    _, _, name = os.path.realpath(path).partition("/zoneinfo/")
    return name.removeprefix("posix/").removeprefix("right/")


def _first_line(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8").partition("\n")[0].strip()
    except (OSError, UnicodeDecodeError):
        return ""
