"""How a child is set up: its account, its environment, its standard streams."""

from __future__ import annotations

import grp
import os
import pwd
import resource
import subprocess
from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple

from schedd.targets.process.frames import Start

_PATH = "/usr/local/bin:/usr/bin:/bin"
_ROOT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_LIMIT_WORDS = {
    resource.RLIMIT_CPU: "seconds of CPU time (LimitCPU= of the unit)",
    resource.RLIMIT_FSIZE: "bytes a file (LimitFSIZE=)",
    resource.RLIMIT_NOFILE: "open files (LimitNOFILE=)",
    resource.RLIMIT_NPROC: "processes (LimitNPROC=)",
    resource.RLIMIT_CORE: "bytes of core dump (LimitCORE=)",
    resource.RLIMIT_AS: "bytes of address space (LimitAS=)",
}

Limits = tuple[tuple[int, tuple[int, int]], ...]
"""Resources by the kernel's numbers, with their soft and hard limits."""


class SpawnError(Exception):
    """The process cannot be started; the message says why."""


class Child(NamedTuple):
    """A started process and the ends of its pipes that stay here. `stdin` is -1 if there is nothing to write."""

    pid: int
    stdin: int
    stdout: int
    stderr: int


class Account(NamedTuple):
    """Whom a process runs as, and what that puts into its environment. `switch`: it is not who the daemon runs as."""

    uid: int
    gid: int
    groups: tuple[int, ...]
    env: dict[str, str]
    switch: bool


def start(request: Start) -> Child:
    """Start the process, in a session of its own. Raises: SpawnError."""
    pipes: list[int] = []
    try:
        account = _account(request.user, request.group)
        limits = _possible(request)
        stdin_read, stdin_write = _stdin(request.stdin, pipes)
        stdout_read, stdout_write = _pipe(pipes)
        stderr_read, stderr_write = _pipe(pipes)
        pid = _execute(request, account, limits, (stdin_read, stdout_write, stderr_write))
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        _close(pipes)
        raise SpawnError(_message(request, error)) from error
    except SpawnError:
        _close(pipes)
        raise
    _close([stdin_read, stdout_write, stderr_write])
    for descriptor in (stdout_read, stderr_read):
        os.set_blocking(descriptor, False)
    return Child(pid, stdin_write, stdout_read, stderr_read)


def _execute(request: Start, account: Account, limits: Limits, streams: tuple[int, int, int]) -> int:
    # Every descriptor here is close-on-exec (PEP 446), so that closing them one by one is not needed. Without a change of account, of
    # niceness or of limits the standard library uses vfork.
    process = subprocess.Popen(
        request.argv,
        stdin=streams[0],
        stdout=streams[1],
        stderr=streams[2],
        cwd=request.working_directory or "/",
        env=account.env | request.env,
        umask=request.umask,
        start_new_session=True,
        close_fds=False,
        user=account.uid if account.switch else None,
        group=account.gid if account.switch else None,
        extra_groups=account.groups if account.switch else None,
        preexec_fn=_preparation(request.nice, limits),
    )
    process.returncode = 0  # the spawner's own loop reaps it
    return process.pid


def _preparation(nice: int, limits: Limits) -> Callable[[], None] | None:
    """What the child does between fork and exec, if anything: only there it is in nobody's way, and in force before the program begins."""
    if not nice and not limits:
        return None

    def prepare() -> None:
        if nice:
            os.setpriority(os.PRIO_PROCESS, 0, nice)
        for number, bounds in limits:
            resource.setrlimit(number, bounds)

    return prepare


def _possible(request: Start) -> Limits:
    """The limits that the child sets itself. Raises: SpawnError if one is above what the daemon itself can have."""
    limits = []
    for number, soft, hard in request.limits:
        own = resource.getrlimit(number)[1]
        if own != resource.RLIM_INFINITY and soft > own:
            words = _LIMIT_WORDS[number]
            raise SpawnError(f"cannot start {request.argv[0]} with a limit of {soft} {words}: the daemon itself has {own} at most")
        limits.append((number, (soft, hard if own == resource.RLIM_INFINITY else min(hard, own))))
    return tuple(limits)


def _message(request: Start, error: Exception) -> str:
    match error:
        case OSError():
            path = error.filename or request.argv[0]
            what = "use the directory" if path == request.working_directory else "start"
            return f"cannot {what} {path}: {error.strerror}"
        case subprocess.SubprocessError() if request.nice:
            return f"cannot start {request.argv[0]} with niceness {request.nice}: only root may lower it"
    return f"cannot start {request.argv[0]}: {error}"


def _pipe(pipes: list[int]) -> tuple[int, int]:
    ends = os.pipe()
    pipes.extend(ends)
    return ends


def _stdin(content: bytes, pipes: list[int]) -> tuple[int, int]:
    """The end to read from, and the end to write the content to."""
    if not content:
        pipes.append(null := os.open(os.devnull, os.O_RDONLY))
        return null, -1
    read, write = _pipe(pipes)
    os.set_blocking(write, False)
    return read, write


def _close(descriptors: list[int]) -> None:
    for descriptor in descriptors:
        os.close(descriptor)


@lru_cache(maxsize=1)
def _own_account() -> Account:
    return _account_of("", "")


def _account(user: str, group: str) -> Account:
    return _account_of(user, group) if user or group else _own_account()


def _account_of(user: str, group: str) -> Account:
    entry = _user(user)
    gid = _group(group) if group else entry.pw_gid if user else os.getegid()
    groups = tuple(os.getgrouplist(entry.pw_name, gid)) if user else (gid,)
    switch = (bool(user) and entry.pw_uid != os.geteuid()) or gid != os.getegid()
    if switch and os.geteuid() != 0:
        wanted = " ".join(filter(None, (f"user {user}" if user else "", f"group {group}" if group else "")))
        raise SpawnError(f"cannot run as {wanted}: only a daemon that runs as root can change the account")
    env = {
        "PATH": _PATH if entry.pw_uid else _ROOT_PATH,
        "HOME": entry.pw_dir,
        "USER": entry.pw_name,
        "LOGNAME": entry.pw_name,
        "SHELL": "/bin/sh",  # as cron has it: a service account's own is nologin
        "LANG": os.environ.get("LANG", "C.UTF-8"),
    }
    return Account(entry.pw_uid, gid, groups, env, switch)


def _user(user: str) -> pwd.struct_passwd:
    try:
        if user and not user.isdecimal():
            return pwd.getpwnam(user)
        return pwd.getpwuid(int(user) if user else os.geteuid())
    except KeyError as error:
        if user:
            raise SpawnError(f"there is no user {user!r} on this host") from error
        number = os.geteuid()
        return pwd.struct_passwd((str(number), "x", number, os.getegid(), "", "/", "/bin/sh"))


def _group(group: str) -> int:
    try:
        return int(group) if group.isdecimal() else grp.getgrnam(group).gr_gid
    except KeyError as error:
        raise SpawnError(f"there is no group {group!r} on this host") from error
