"""Where crontabs are: files, a user's own, the system's."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterable
from pathlib import Path

from schedd.cli.failures import CommandError, UsageFault
from schedd.cli.importing.crontab import Crontab
from schedd.cli.importing.host import own_account

_SPOOLS = ("var/spool/cron/crontabs", "var/spool/cron", "var/spool/cron/tabs")
_READ_BY_CRON = re.compile(r"[A-Za-z0-9_-]+")
_TIMEOUT_S = 20


def crontab_files(files: Iterable[str], *, system: bool) -> list[Crontab]:
    """These files; those of /etc are system crontabs whatever `system` says. Raises: CommandError."""
    return [Crontab(file=file, text=_text(Path(file)), owner="" if system or _is_system(file) else own_account()) for file in files]


def user_crontab(name: str, root: Path = Path("/")) -> Crontab:
    """A user's crontab, from cron's spool, or as `crontab -l` prints it. Raises: CommandError if there is none, or it may not be read."""
    user = name or own_account()
    for spool in _SPOOLS:
        path = root / spool / user
        try:
            return Crontab(file=str(path), text=path.read_text(encoding="utf-8"), owner=user)
        except (FileNotFoundError, NotADirectoryError, PermissionError):
            continue
    return Crontab(file=f"crontab of {user}", text=_listed(name), owner=user)


def system_crontabs(root: Path = Path("/")) -> tuple[list[Crontab], list[str]]:
    """/etc/crontab and those of /etc/cron.d that cron reads; and remarks on the others. Raises: CommandError if there are none."""
    remarks, found = [], []
    for path in (root / "etc/crontab", *sorted((root / "etc/cron.d").glob("*"))):
        if not path.is_file() or path.name.startswith("."):
            continue
        if path.parent.name == "cron.d" and _READ_BY_CRON.fullmatch(path.name) is None:
            remarks.append(f"{path} is left out: cron reads no file whose name has other signs than letters, digits, - and _")
            continue
        found.append(Crontab(file=str(path), text=_text(path), owner=""))
    if not found:
        raise CommandError("this host has no system crontab: there is neither /etc/crontab nor a file in /etc/cron.d")
    return found, remarks


def _is_system(file: str) -> bool:
    path = Path(file).resolve()
    return path == Path("/etc/crontab") or path.parent == Path("/etc/cron.d")


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise CommandError(f"{path} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise CommandError(f"{path} is not UTF-8 text: byte {error.start}") from error


def _listed(name: str) -> str:
    command = ["crontab", "-l", *(["-u", name] if name else [])]
    whose = f"{name} has" if name else "you have"
    try:
        answer = subprocess.run(command, capture_output=True, text=True, timeout=_TIMEOUT_S, check=False)
    except FileNotFoundError as error:
        raise CommandError(f"{whose} no crontab here: it is not in cron's spool, and there is no crontab command to ask") from error
    except (OSError, subprocess.TimeoutExpired) as error:
        raise CommandError(f"{' '.join(command)} does not answer: {error}") from error
    if answer.returncode:
        raise CommandError(f"{' '.join(command)}: {answer.stderr.strip() or f'exit code {answer.returncode}'}")
    return answer.stdout


def check_source(files: tuple[str, ...], user: str | None, system: bool) -> None:
    """Raises: UsageFault unless one thing is asked for."""
    if user is not None and (files or system):
        raise UsageFault("--user stands alone: name files, or a user, or --system")
    if not files and user is None and not system:
        raise UsageFault("which crontab? name a FILE, or --user for your own, --user NAME, --system for /etc/crontab and /etc/cron.d")
