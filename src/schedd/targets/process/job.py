"""One job of the spawner: a process on its way from start to result, and the ending of its tree."""

from __future__ import annotations

import signal
from collections.abc import Collection
from enum import Enum

from schedd.targets.process.capture import Capture
from schedd.targets.process.child import Child
from schedd.targets.process.frames import Held, Result, Start
from schedd.targets.process.tree import Process, Snapshot, descendants, send, still

DRAIN_S = 0.25
"""How long a result waits, after the process ended by itself, for pipes that its background children hold open."""
_UNKILLABLE_S = 15.0
_POLL_S = 0.02
_KILL_POLL_S = 0.005


class Phase(Enum):
    """Where a job stands."""

    RUNNING = 1
    DRAINING = 2
    TERMINATING = 3
    KILLING = 4
    FINISHED = 5


class Job:
    """A process and its tree. Times are monotonic seconds; `tick` says when it wants to be called again."""

    def __init__(self, request: Start, child: Child | None, now: float) -> None:
        self.number = request.job
        self.mark = request.mark
        self.execution = request.execution
        self.child = child
        self.phase = Phase.RUNNING
        self.output = Capture(request.output_limit)
        self.error_output = Capture(request.output_limit)
        self.pending_input = memoryview(request.stdin)
        self.open_pipes = 2 if child is not None else 0
        self.status: int | None = None if child is not None else 0
        self.wake_at = now + request.timeout_s if request.timeout_s >= 0 else None
        self._attempt = request.attempt
        self._started_at = now
        self._expires_at = self.wake_at
        self._kind = "EXIT" if child is not None else "LOST"
        self._message = ""
        self._cpu_s = 0.0
        self._grace_s = request.grace_s
        self._known: set[tuple[int, int]] = set()
        self._kill_at = 0.0

    @property
    def ending(self) -> bool:
        """Whether its tree is being ended."""
        return self.phase in (Phase.TERMINATING, Phase.KILLING)

    def exited(self, code: int, cpu_s: float, now: float) -> None:
        """The main process is gone. By itself: background children are left alone, as cron does."""
        self.status = code
        self._cpu_s = cpu_s
        if self.phase is Phase.RUNNING:
            self.phase = Phase.DRAINING
            self.wake_at = now + DRAIN_S

    def end(self, kind: str, now: float, *, grace_s: float | None = None) -> None:
        """Begin to end the tree: SIGTERM, then, after the grace, SIGKILL."""
        if self.phase is Phase.DRAINING:
            self.wake_at = now
        if self.phase is not Phase.RUNNING:
            return
        self._kind = kind
        self.phase = Phase.TERMINATING
        self._kill_at = now + (self._grace_s if grace_s is None else min(grace_s, self._grace_s))
        self.wake_at = now

    def shorten_grace(self, grace_s: float, now: float) -> None:
        """A running ending takes no longer than this from now on."""
        self._kill_at = min(self._kill_at, now + grace_s)
        if self.phase is Phase.TERMINATING:
            self.wake_at = now

    def tick(self, now: float) -> None:
        """What the time alone decides: the timeout, and the end of draining."""
        if self.wake_at is None or now < self.wake_at:
            return
        if self.phase is Phase.RUNNING:
            self.end("TIMEOUT", now)
        elif self.phase is Phase.DRAINING:
            self.phase = Phase.FINISHED

    def step(self, processes: Snapshot, marked: Collection[Process], now: float) -> bool:
        """Carry the ending on; whether a new process turned up, so that another look is due at once."""
        members = self._members(processes, marked)
        new = [process for process in members if (process.pid, process.started) not in self._known]
        self._known = {(process.pid, process.started) for process in members}
        if not members and self.status is not None:
            self.phase = Phase.FINISHED
            return False
        if self.phase is Phase.TERMINATING and now < self._kill_at:
            self._signal(new, signal.SIGTERM, signal.SIGCONT)
            self.wake_at = min(now + _POLL_S, self._kill_at)
            return False
        return self._kill(members, new, now)

    def _kill(self, members: set[Process], new: list[Process], now: float) -> bool:
        """Stop the tree, look again until nobody new is found, then kill it: whoever is stopped cannot fork."""
        if self.phase is Phase.TERMINATING:
            self.phase = Phase.KILLING
            self._signal(members, signal.SIGSTOP)
            return True
        if new:
            self._signal(new, signal.SIGSTOP)
            return True
        self._signal(members, signal.SIGKILL)
        self.wake_at = now + _KILL_POLL_S
        if now > self._kill_at + _UNKILLABLE_S:
            self._message = f"{len(members)} processes do not die, even by SIGKILL: {', '.join(str(process.pid) for process in members)}"
            self.status = -signal.SIGKILL if self.status is None else self.status
            self.phase = Phase.FINISHED
        return False

    def _members(self, processes: Snapshot, marked: Collection[Process]) -> set[Process]:
        roots = still(processes, self._known)
        roots.extend(marked)
        if self.status is None and self.child is not None and self.child.pid in processes:
            roots.append(processes[self.child.pid])
        return descendants(processes, roots)

    def _signal(self, processes: Collection[Process], *numbers: signal.Signals) -> None:
        for process in processes:
            for number in numbers:
                send(process, number)

    def held(self, now: float) -> Held:
        """Where it stands, for a daemon that has not started it."""
        return Held(
            self.number,
            self.execution,
            self._attempt,
            self.child.pid if self.child is not None else 0,
            now - self._started_at,
            max(self._expires_at - now, 0.0) if self._expires_at is not None else -1.0,
            self._grace_s,
        )

    def result(self) -> Result:
        """The result, once it is FINISHED."""
        return Result(
            self.number,
            self._kind,
            self.status or 0,
            self._message,
            self.output.content(),
            self.error_output.content(),
            self.output.truncated or self.error_output.truncated,
            self._cpu_s,
        )
