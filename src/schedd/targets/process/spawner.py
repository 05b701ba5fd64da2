"""The spawner: a small program that starts, watches and ends processes for the daemon.

It is a process of its own because starting one from a large daemon is slow, and so that neither chatty children nor a hostile tree
delay the daemon's loop.

When the line to the daemon breaks without a word, the daemon has died: the spawner goes on, and lets the next daemon in by its door. If
none comes in time, if the daemon had said that it stops, or if there is no door, it ends every tree that it holds, and exits.
"""

from __future__ import annotations

import ctypes
import heapq
import os
import resource
import select
import signal
import socket
import sys
import time
from collections.abc import Callable

from schedd.targets.process.capture import Capture
from schedd.targets.process.child import SpawnError, start
from schedd.targets.process.door import Door
from schedd.targets.process.frames import End, Held, Message, Result, Start, Stock, Stopping, Sweep, Unpacker, pack
from schedd.targets.process.job import Job, Phase
from schedd.targets.process.memory import Ended, Memory
from schedd.targets.process.tree import snapshot, tagged

_PR_SET_CHILD_SUBREAPER = 36
_ORPHANED_GRACE_S = 2.0
_SPARE_DESCRIPTORS = 32
_READ_BYTES = 65536
_ROUNDS_MAX = 50
_STALE_TIMERS = 1000


class Spawner:
    """The program's loop. Alone, it waits `patience_s` for the next daemon, if it has a door and something to hand over."""

    def __init__(self, daemon: socket.socket, door: Door | None, patience_s: float) -> None:
        self._daemon: socket.socket | None = None
        self._door = door
        self._patience_s = patience_s
        self._alone_until: float | None = None
        self._ending = door is None
        """Whether it is to end everything as soon as the line is closed."""
        self._memory = Memory()
        self._last_job = 0
        self._jobs: dict[int, Job] = {}
        self._jobs_by_pid: dict[int, Job] = {}
        self._timers: list[tuple[float, int]] = []
        self._unpacker = Unpacker()
        self._outgoing = bytearray()
        self._epoll = select.epoll()
        self._handlers: dict[int, Callable[[], object]] = {}
        self._tagging = True
        self._descriptors_max = resource.getrlimit(resource.RLIMIT_NOFILE)[0] - _SPARE_DESCRIPTORS
        daemon.setblocking(False)
        self._serve(daemon)
        wakeup = _wakeup_descriptor()
        self._watch(wakeup, select.EPOLLIN, lambda: os.read(wakeup, _READ_BYTES))
        signal.signal(signal.SIGTERM, lambda _number, _frame: self._hurry())

    def run(self) -> None:
        """Work until the line to the daemon is closed, and nothing is left to end or to hand over."""
        while self._daemon is not None or self._jobs or (self._memory and not self._ending):
            for descriptor, _ in self._epoll.poll(self._pause()):
                handler = self._handlers.get(descriptor)
                if handler is not None:
                    handler()
            self._reap()
            self._tick()
            self._send()
        if self._door is not None:
            self._door.close()

    # Messages

    def _serve(self, daemon: socket.socket) -> None:
        self._daemon = daemon
        self._alone_until = None
        self._unpacker = Unpacker()
        self._outgoing.clear()
        self._watch(daemon.fileno(), select.EPOLLIN, self._receive)

    def _receive(self) -> None:
        assert self._daemon is not None, "its descriptor is watched"
        try:
            data = self._daemon.recv(1 << 18)
        except BlockingIOError:
            return
        except ConnectionError:
            data = b""
        if not data:
            self._abandoned()
        for message in self._unpacker.feed(data):
            self._handle(message)

    def _handle(self, message: Message) -> None:
        now = time.monotonic()
        match message:
            case Start():
                self._start(message)
            case End():
                if (job := self._jobs.get(message.job)) is not None:
                    job.end("ENDED", now)
                    if message.by_force:
                        job.shorten_grace(0, now)
                    self._schedule(job)
            case Sweep():
                job = Job(_nothing(message), None, now)
                self._jobs[job.number] = job
                job.end("LOST", now)
                self._schedule(job)
            case Stopping():
                self._ending = True

    def _abandoned(self) -> None:
        """The daemon is gone: wait for the next one, unless it had said that it stops."""
        assert self._daemon is not None, "its line broke"
        self._forget(self._daemon.fileno())
        self._daemon.close()
        self._daemon = None
        if self._door is None or self._ending:
            self._end_all()
            return
        now = time.monotonic()
        if not self._outgoing:
            self._memory.trim(now)
        self._alone_until = now + self._patience_s
        self._watch(self._door.fileno(), select.EPOLLIN, self._let_in)

    def _let_in(self) -> None:
        """The next daemon knocks: tell it of everything that is held, then send the results of what has ended."""
        assert self._door is not None, "it knocks there"
        daemon = self._door.accept()
        if daemon is None:
            return
        self._forget(self._door.fileno())
        self._serve(daemon)
        now = time.monotonic()
        self._memory.renew(now)
        for held in (*(job.held(now) for job in self._jobs.values() if job.execution), *(ended.job for ended in self._memory)):
            self._outgoing += pack(held)
        self._outgoing += pack(Stock(self._last_job))
        for ended in self._memory:
            self._outgoing += ended.result

    def _end_all(self) -> None:
        self._ending = True
        now = time.monotonic()
        for job in self._jobs.values():
            job.end("ENDED", now, grace_s=_ORPHANED_GRACE_S)
            job.shorten_grace(_ORPHANED_GRACE_S, now)
            self._schedule(job)

    def _answer(self, job: Held, result: Result) -> None:
        """Tell the daemon, now or, if it is gone, the next one."""
        packed = pack(result)
        if self._daemon is not None:
            self._outgoing += packed
        if self._door is not None and job.execution:
            self._memory.add(Ended(time.monotonic(), job, packed))

    def _send(self) -> None:
        if self._daemon is None:
            return
        if not self._outgoing:
            self._memory.trim(time.monotonic())
            return
        try:
            sent = self._daemon.send(self._outgoing)
        except BlockingIOError:
            sent = 0
        except OSError:
            sent = len(self._outgoing)
        del self._outgoing[:sent]
        self._epoll.modify(self._daemon.fileno(), select.EPOLLIN | (select.EPOLLOUT if self._outgoing else 0))

    # Jobs

    def _start(self, request: Start) -> None:
        self._last_job = max(self._last_job, request.job)
        try:
            if len(self._handlers) + 6 > self._descriptors_max:
                raise SpawnError(f"cannot start {request.argv[0]}: too many processes run at once for the limit of open files")
            self._put_tag(request.mark)
            child = start(request)
        except SpawnError as error:
            failed = Held(request.job, request.execution, request.attempt, 0, 0.0, -1.0, 0.0)
            self._answer(failed, Result(request.job, "SPAWN", 0, str(error), b"", b"", False))
            return
        job = Job(request, child, time.monotonic())
        self._jobs[job.number] = self._jobs_by_pid[child.pid] = job
        self._watch(child.stdout, select.EPOLLIN, lambda: self._read(job, child.stdout, job.output))
        self._watch(child.stderr, select.EPOLLIN, lambda: self._read(job, child.stderr, job.error_output))
        if child.stdin >= 0:
            self._watch(child.stdin, select.EPOLLOUT, lambda: self._feed(job, child.stdin))
        self._schedule(job)

    def _put_tag(self, mark: int) -> None:
        """Tag ourselves, for the next child to inherit. Under a finite hard limit, or where the call is forbidden, there are no tags."""
        if not self._tagging:
            return
        try:
            resource.setrlimit(resource.RLIMIT_RTTIME, (mark, resource.getrlimit(resource.RLIMIT_RTTIME)[1]))
        except (OSError, ValueError):
            self._tagging = False

    def _read(self, job: Job, descriptor: int, capture: Capture) -> bool:
        """Take what is there, once; whether there was something."""
        try:
            data = os.read(descriptor, _READ_BYTES)
        except BlockingIOError:
            return False
        if data:
            capture.add(data)
            return True
        self._forget(descriptor)
        os.close(descriptor)
        job.open_pipes -= 1
        if not job.open_pipes and job.phase is Phase.DRAINING:
            job.phase = Phase.FINISHED
            self._finish(job)
        return False

    def _feed(self, job: Job, descriptor: int) -> None:
        try:
            job.pending_input = job.pending_input[os.write(descriptor, job.pending_input) :]
        except BlockingIOError:
            return
        except OSError:
            job.pending_input = job.pending_input[:0]
        if not job.pending_input:
            self._forget(descriptor)
            os.close(descriptor)

    def _reap(self) -> None:
        """Take the exit codes of processes that ended: of jobs, and of orphans that came to us."""
        now = time.monotonic()
        while True:
            try:
                pid, status, used = os.wait4(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if not pid:
                return
            job = self._jobs_by_pid.pop(pid, None)
            if job is not None:
                job.exited(os.waitstatus_to_exitcode(status), used.ru_utime + used.ru_stime, now)
                self._drain(job)

    def _drain(self, job: Job) -> None:
        """The process ended; the usual case is that its pipes are at their end, too."""
        self._read_rest(job)
        if job.phase is Phase.DRAINING and not job.open_pipes:
            job.phase = Phase.FINISHED
            self._finish(job)
        elif job.phase is not Phase.FINISHED:
            self._schedule(job)

    def _read_rest(self, job: Job) -> None:
        """Read what ended processes left in the pipes: never more than a pipe holds, whoever still writes."""
        if job.child is None:
            return
        for descriptor, capture in ((job.child.stdout, job.output), (job.child.stderr, job.error_output)):
            for _ in range(_ROUNDS_MAX):
                if descriptor not in self._handlers or not self._read(job, descriptor, capture):
                    break

    def _finish(self, job: Job) -> None:
        del self._jobs[job.number]
        if job.child is not None:
            self._jobs_by_pid.pop(job.child.pid, None)
            for descriptor in (job.child.stdin, job.child.stdout, job.child.stderr):
                if self._handlers.get(descriptor) is not None:
                    self._forget(descriptor)
                    os.close(descriptor)
        self._answer(job.held(time.monotonic()), job.result())

    # Time

    def _schedule(self, job: Job) -> None:
        if job.wake_at is not None:
            heapq.heappush(self._timers, (job.wake_at, job.number))
        if len(self._timers) > _STALE_TIMERS + 4 * len(self._jobs):
            self._timers = [(job.wake_at, job.number) for job in self._jobs.values() if job.wake_at is not None]
            heapq.heapify(self._timers)

    def _pause(self) -> float:
        times = [self._timers[0][0]] if self._timers else []
        if self._alone_until is not None:
            times.append(self._alone_until)
        return max(min(times) - time.monotonic(), 0) if times else -1

    def _tick(self) -> None:
        now = time.monotonic()
        if self._alone_until is not None and self._alone_until <= now:
            self._give_up()
        ending: set[Job] = set()
        while self._timers and self._timers[0][0] <= now:
            job = self._jobs.get(heapq.heappop(self._timers)[1])
            if job is None:
                continue
            job.tick(now)
            if job.phase is Phase.FINISHED:
                self._finish(job)
            elif job.ending:
                ending.add(job)
        if ending:
            self._end(ending)

    def _hurry(self) -> None:
        """SIGTERM: wait no longer for a daemon. While there is one, what it says holds."""
        if self._alone_until is not None:
            self._alone_until = 0.0

    def _give_up(self) -> None:
        """No daemon came: shut the door, and end everything."""
        assert self._door is not None, "it waited there"
        self._alone_until = None
        self._forget(self._door.fileno())
        self._door.close()
        self._door = None
        self._end_all()

    def _end(self, ending: set[Job]) -> None:
        """Carry on the ending of these trees. One look at the host serves all; where a new process turned up, another follows at once."""
        changing = ending
        for _ in range(_ROUNDS_MAX):
            processes = snapshot()
            marked = tagged(processes, None if any(job.child is None for job in changing) else os.getpid())
            now = time.monotonic()
            changing = {job for job in changing if job.step(processes, marked.get(job.mark, ()), now)}
            if not changing:
                break
        for job in changing:
            job.wake_at = time.monotonic()
        for job in ending:
            if job.phase is Phase.FINISHED:
                self._read_rest(job)
                self._finish(job)
            else:
                self._schedule(job)

    # Descriptors

    def _watch(self, descriptor: int, events: int, handler: Callable[[], object]) -> None:
        self._handlers[descriptor] = handler
        self._epoll.register(descriptor, events)

    def _forget(self, descriptor: int) -> None:
        del self._handlers[descriptor]
        self._epoll.unregister(descriptor)


def _nothing(sweep: Sweep) -> Start:
    return Start(sweep.job, 0, 0, sweep.mark, (), {}, "", b"", "", "", 0, 0, 0, 0.0, -1.0)


def _wakeup_descriptor() -> int:
    """Readable after each SIGCHLD, so that the loop wakes."""
    read, write = os.pipe()
    os.set_blocking(read, False)
    os.set_blocking(write, False)
    signal.set_wakeup_fd(write, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda _number, _frame: None)
    return read


def _take_default_signals() -> None:
    """Children inherit what is ignored and what is blocked: nothing is. Of what would end us, nothing does: the daemon's socket decides."""
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    for number in signal.valid_signals():
        if signal.getsignal(number) is signal.SIG_IGN and number != signal.SIGPIPE:
            signal.signal(number, signal.SIG_DFL)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda _number, _frame: None)


def main() -> None:
    """Serve the daemon on the socket that is standard input. Arguments: the door's directory ("": no door), the salt, the patience."""
    _take_default_signals()
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    daemon = socket.socket(fileno=os.dup(0))
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    home, salt, patience_s = sys.argv[1:4]
    Spawner(daemon, _door(home, int(salt)), float(patience_s)).run()


def _door(home: str, salt: int) -> Door | None:
    """The door, if there is to be one and can be: without it everything ends with the daemon, which is safe."""
    if not home:
        return None
    try:
        return Door(home, salt)
    except OSError as error:
        sys.stderr.write(f"schedd: processes will not outlive a crash of the daemon: {error}\n")
        return None
