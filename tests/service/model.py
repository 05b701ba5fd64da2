"""The model of the service: what schedules, runs and left out occurrences there have to be, by arithmetic of its own.

It knows rules of one kind, an instant every so many seconds, without the days that a calendar closes, and shares no code with the daemon.
Time is in microseconds. Nothing here is written down anywhere: a run or an occurrence is decided at its instant and stays in memory.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

SECOND = 1_000_000
DAY = 86_400 * SECOND
HORIZON = SECOND // 2
"""So much earlier than its instant an occurrence is taken up."""
LATE = 2 * SECOND
"""What is taken up later than this runs in the background."""

OPEN = ("ARMED", "QUEUED", "RUNNING", "WAITING_RETRY")


class Refused(Exception):
    """A call that has to fail; the text is the error's class, and its reason if it has one."""


@dataclass(frozen=True)
class Rule:
    """Every `every` microseconds of UTC, moved by `phase`, before `end`; `text` is how the daemon is told."""

    text: str
    every: int
    phase: int = 0
    end: int | None = None
    calendar: bool = False


@dataclass(frozen=True)
class Policy:
    overlap: str = "SKIP"
    catch_up: str = "LATEST"
    window: int | None = None
    grace: int = 30 * SECOND
    attempts: int = 1
    backoff: int = 7_300_000
    delivery: str = "AT_LEAST_ONCE"
    max_runs: int = 0
    failures: int = 0


@dataclass(eq=False)
class Run:
    schedule: Standing
    cause: str
    nominal: int
    due: int
    armed: int
    generation: int
    policy: Policy
    own_overlap: str | None = None
    state: str = "ARMED"
    outcome: str | None = None
    reason: str = "NONE"
    attempt: int = 0
    attempts_before: int = 0
    redelivered: bool = False
    fresh: bool = False
    wake: int = 0

    @property
    def background(self) -> bool:
        return self.cause == "BACKFILL" or self.armed - self.due > LATE

    @property
    def ahead(self) -> bool:
        return self.state == "ARMED" and self.cause == "SCHEDULE" and not self.background

    @property
    def overlap(self) -> str:
        if self.own_overlap is not None:
            return self.own_overlap
        in_turn = self.background and self.policy.catch_up == "ALL" and self.policy.overlap != "ALLOW_ALL"
        return "BUFFER_ALL" if in_turn else self.policy.overlap

    @property
    def begun(self) -> bool:
        """Whether it counts when another one of its schedule is to start."""
        return self.state in OPEN and (self.attempt > 0 or (self.state == "QUEUED" and not self.background))


@dataclass(eq=False)
class Standing:
    """A schedule. Every instant up to `mark` is decided; those in `left_out` are not run, for that reason."""

    name: str
    rule: Rule
    policy: Policy
    mark: int
    state: str = "ENABLED"
    generation: int = 1
    description: str = ""
    is_paused: bool = False
    pause_end: int | None = None
    over: bool = False
    ran: int = 0
    runs: list[Run] = field(default_factory=list)
    left_out: dict[int, str] = field(default_factory=dict)
    buffers: dict[bool, list[Run]] = field(default_factory=lambda: {False: [], True: []})

    def open(self) -> list[Run]:
        return [run for run in self.runs if run.state in OPEN]


class Model:
    """All schedules ever, the clock, and what each schedule's target answers: SUCCEEDED, FAILED, or HANG."""

    def __init__(self, now: int) -> None:
        self.now = now
        self.all: list[Standing] = []
        self.by_name: dict[str, Standing] = {}
        self.answers: dict[str, str] = {}
        self.closed: set[int] = set()
        """Days since 1970."""
        self._failed: list[Standing] = []
        self._ready: list[Run] = []
        self._steps: list[tuple[Run, str]] = []

    # Instants

    def after(self, rule: Rule, at: int) -> int | None:
        following = at - (at - rule.phase) % rule.every + rule.every
        while rule.calendar and following // DAY in self.closed:
            midnight = (following // DAY + 1) * DAY
            following = midnight + (rule.phase - midnight) % rule.every
        return None if rule.end is not None and following >= rule.end else following

    def between(self, rule: Rule, after: int, through: int) -> Iterator[int]:
        at = self.after(rule, after)
        while at is not None and at <= through:
            yield at
            at = self.after(rule, at)

    # Calls

    def create(self, drafts: list[tuple[str, Rule, Policy]]) -> None:
        if any(self.after(rule, self.now) is None for _, rule, _ in drafts):
            raise Refused("InvalidError")
        names = [name for name, _, _ in drafts]
        taken = {name for name, standing in self.by_name.items() if standing.state != "DELETED"}
        if len(set(names)) < len(names) or taken & set(names):
            raise Refused("AlreadyExistsError")
        for name, rule, policy in drafts:
            new = Standing(name, rule, policy, self.now)
            self.all.append(new)
            self.by_name[name] = new

    def live(self, name: str, seen: int | None = None) -> Standing:
        found = self.by_name.get(name)
        if found is None or found.state == "DELETED":
            raise Refused("NotFoundError")
        if seen not in (None, found.generation):
            raise Refused("ConflictError ETAG_MISMATCH")
        return found

    def update(
        self, name: str, seen: int | None, *, rule: Rule | None = None, policy: Policy | None = None, text: str | None = None
    ) -> None:
        it = self.live(name, seen)
        is_other = rule is not None and rule != it.rule
        if is_other and self.after(rule or it.rule, self.now) is None:
            raise Refused("InvalidError")
        if not is_other and policy in (None, it.policy) and text in (None, it.description):
            return
        if is_other and it.state == "PAUSED":
            self.hold_back(it, self.now)
        restart = is_other or it.state == "COMPLETED"
        it.rule, it.policy = rule or it.rule, policy or it.policy
        it.description = it.description if text is None else text
        self.change(it, "ENABLED" if it.state == "COMPLETED" else it.state, anew=restart)

    def delete(self, name: str, seen: int | None) -> None:
        self.change(self.live(name, seen), "DELETED")

    def undelete(self, name: str, seen: int | None) -> None:
        it = self.by_name.get(name)
        if it is None:
            raise Refused("NotFoundError")
        if it.state != "DELETED":
            raise Refused("AlreadyExistsError")
        if seen not in (None, it.generation):
            raise Refused("ConflictError ETAG_MISMATCH")
        ended = self.after(it.rule, self.now) is None
        self.change(it, "PAUSED" if it.is_paused else "COMPLETED" if ended else "ENABLED", anew=True)

    def pause(self, name: str, seen: int | None, end: int | None) -> None:
        if end is not None and end <= self.now:
            raise Refused("InvalidError")
        it = self.live(name, seen)
        if it.state not in ("ENABLED", "PAUSED"):
            raise Refused("PreconditionError NOT_ENABLED")
        it.is_paused, it.pause_end = True, end
        self.change(it, "PAUSED")

    def resume(self, name: str, seen: int | None) -> None:
        it = self.live(name, seen)
        if it.state == "ENABLED":
            return
        if it.state != "PAUSED":
            raise Refused("PreconditionError NOT_PAUSED")
        self.hold_back(it, self.now)
        it.is_paused, it.pause_end = False, None
        self.change(it, "ENABLED", anew=True)

    def trigger(self, name: str) -> Run:
        it = self.live(name)
        if any(run.cause == "MANUAL" and run.nominal == self.now for run in it.runs):
            raise Refused("PreconditionError TRIGGERED_ALREADY")
        return self.arm(it, "MANUAL", self.now)

    def backfill(self, name: str, start: int, end: int, overlap: str) -> None:
        if start >= end or end > self.now:
            raise Refused("InvalidError")
        it = self.live(name)
        before = {run.nominal for run in it.runs if run.cause == "BACKFILL"}
        for place, nominal in enumerate(self.between(it.rule, start - 1, end - 1)):
            if nominal not in before:
                run = self.arm(it, "BACKFILL", nominal, due=self.now + place * 1000)
                run.own_overlap = overlap

    def cancel(self, run: Run) -> None:
        if run.state == "FINISHED":
            raise Refused("PreconditionError EXECUTION_FINISHED")
        self.finish(run, "CANCELLED", "CANCELLED")

    def redeliver(self, run: Run) -> None:
        if run.schedule.state == "DELETED":
            raise Refused("PreconditionError DELETED")
        if run.state != "FINISHED":
            raise Refused("PreconditionError NOT_FINISHED")
        run.state, run.outcome, run.wake, run.redelivered = "WAITING_RETRY", None, self.now, True
        run.attempts_before, run.policy = run.attempt, run.schedule.policy

    def close_days(self, days: set[int]) -> None:
        self.closed = days
        for it in self.all:
            if it.rule.calendar and it.state == "ENABLED":
                self.take_back(it)
                it.mark = self.now

    # Time

    def advance(self, to: int) -> None:
        """Everything up to that instant, in its order."""
        self.settle()
        while (at := min(self.instants(), default=to + 1)) <= to:
            self.now = max(self.now, at)
            self.settle()
        self.now = to
        self.settle()

    def leap(self, to: int, *, stepped: bool) -> None:
        """The host was asleep until then, or its clock was set ahead."""
        for it in self.all:
            for run in it.open():
                if stepped and run.state == "WAITING_RETRY":
                    run.wake += to - self.now
        self.now = to
        for it in self.all:
            for run in it.open():
                self.miss_if_late(run)
        self.settle()

    def restart(self, to: int) -> None:
        """The daemon was killed, and starts again then."""
        self.now = to
        for it in self.all:
            it.buffers = {False: [], True: []}
            it.over = it.state == "ENABLED" and self.after(it.rule, it.mark) is None
            for run in it.open():
                run.policy = it.policy
                if run.state == "RUNNING":
                    run.state, run.wake = "WAITING_RETRY", to
                    if run.policy.delivery == "AT_MOST_ONCE":
                        self.finish(run, "UNKNOWN", "INTERRUPTED")
                elif it.state == "DELETED":
                    self.finish(run, "CANCELLED", "DELETED")
                elif run.state == "QUEUED":
                    run.state, run.wake = "ARMED", run.due
                else:
                    self.miss_if_late(run)
        self.settle()

    def instants(self) -> Iterator[int]:
        for it in self.all:
            yield from (run.wake for run in it.open() if run.state in ("ARMED", "WAITING_RETRY"))
            following = self.after(it.rule, it.mark) if it.state == "ENABLED" and not it.over else None
            if following is not None:
                yield following - HORIZON
            if it.state == "PAUSED" and it.pause_end is not None:
                yield it.pause_end

    def settle(self) -> None:
        """Do all that is to be done now."""
        while True:
            self.dispatch()
            self.pause_failing()
            for it in self.all:
                if it.state == "PAUSED" and it.pause_end is not None and it.pause_end <= self.now:
                    self.hold_back(it, it.pause_end - 1)
                    it.mark = it.pause_end - 1
                    it.is_paused, it.pause_end = False, None
                    self.change(it, "ENABLED")
                if it.state == "ENABLED" and not it.over:
                    self.plan(it)
                if it.state == "ENABLED" and it.over and not it.open():
                    self.change(it, "COMPLETED")
            if all(at > self.now for at in self.instants()):
                return

    # Decisions

    def change(self, it: Standing, state: str, *, anew: bool = False) -> None:
        """The schedule's next generation, from now on if it begins `anew` or was not paused before."""
        self.take_back(it)
        if anew or it.state != "PAUSED":
            it.mark = self.now
        it.state, it.generation = state, it.generation + 1
        it.over = state == "ENABLED" and self.after(it.rule, it.mark) is None
        if state == "DELETED":
            for run in it.open():
                if run.state != "RUNNING":
                    self.finish(run, "CANCELLED", "DELETED")

    def take_back(self, it: Standing) -> None:
        it.runs = [run for run in it.runs if not run.ahead]

    def hold_back(self, it: Standing, through: int) -> None:
        it.left_out.update(dict.fromkeys(self.between(it.rule, it.mark, through), "PAUSED"))

    def arm(self, it: Standing, cause: str, nominal: int, due: int | None = None) -> Run:
        due = nominal if due is None else due
        run = Run(it, cause, nominal, due, self.now, it.generation, it.policy, wake=due)
        it.runs.append(run)
        return run

    def plan(self, it: Standing) -> None:
        """Decide what is due within the horizon: what is late goes by the catch-up policy."""
        instants = list(self.between(it.rule, it.mark, self.now + HORIZON))
        if not instants:
            return
        late = [at for at in instants if at < self.now - it.policy.grace]
        chosen = self.caught_up(it, late) + instants[len(late) :]
        it.mark = instants[-1]
        it.over = self.after(it.rule, it.mark) is None
        if it.policy.max_runs:
            counted = [run for run in it.open() if run.cause == "SCHEDULE" and not run.redelivered]
            left = max(0, it.policy.max_runs - it.ran - len(counted))
            if len(chosen) > left and it.ran >= it.policy.max_runs:
                it.over = True
            else:
                it.left_out.update(dict.fromkeys(chosen[left:], "MAX_RUNS"))
            chosen = chosen[:left]
        known = {run.nominal for run in it.runs if run.cause == "SCHEDULE"}
        for at in chosen:
            if at not in known:
                self.arm(it, "SCHEDULE", at)

    def window(self, it: Standing, at: int) -> int:
        following = self.after(it.rule, at)
        return it.policy.window or (DAY if following is None else min(DAY, 2 * (following - at)))

    def caught_up(self, it: Standing, late: list[int]) -> list[int]:
        if not late:
            return []
        mode = it.policy.catch_up
        if mode == "NONE":
            it.left_out.update(dict.fromkeys(late, "MISFIRE"))
            return []
        young = [at for at in late if at >= self.now - self.window(it, late[-1])]
        chosen = {"LATEST": young[-1:], "EARLIEST": young[:1], "ALL": young}[mode]
        for at in set(late) - set(chosen):
            is_old = at not in young and not (chosen and mode == "LATEST")
            it.left_out[at] = "CATCH_UP_WINDOW" if is_old else "CATCH_UP_SUPERSEDED"
        return chosen

    def miss_if_late(self, run: Run) -> None:
        """What was taken up and has not begun is late too, if nothing ran for long."""
        it, policy = run.schedule, run.policy
        in_turn = run.background and policy.catch_up == "ALL"
        grace_ended = max(run.due, run.armed) < self.now - policy.grace
        if run.state != "ARMED" or run.cause != "SCHEDULE" or in_turn or not grace_ended:
            return
        following = self.after(it.rule, run.nominal)
        if policy.catch_up == "NONE":
            self.finish(run, "MISSED", "MISFIRE")
        elif run.nominal < self.now - self.window(it, run.nominal):
            self.finish(run, "MISSED", "CATCH_UP_WINDOW")
        elif policy.catch_up == "LATEST" and following is not None and following < self.now - policy.grace:
            self.finish(run, "MISSED", "CATCH_UP_SUPERSEDED")

    # Runs

    def dispatch(self) -> None:
        """Start what is due, on time before the background; what is started or told to end takes its step when all have had their turn."""
        due = [run for it in self.all for run in it.open() if run.state in ("ARMED", "WAITING_RETRY") and run.wake <= self.now]
        for run in sorted(due, key=lambda run: run.wake):
            if run.state != "FINISHED" and (run.background or self.admit(run)):
                self.get_ready(run)
        self.start()
        while self._steps:
            run, reason = self._steps.pop(0)
            if run.state != "RUNNING":
                continue
            run.fresh = False
            answer = self.answers.get(run.schedule.name, "SUCCEEDED")
            if reason:
                self.finish(run, "CANCELLED", reason)
            elif answer != "HANG":
                self.conclude(run, answer)
            self.start()

    def get_ready(self, run: Run) -> None:
        run.state = "QUEUED"
        self._ready.append(run)

    def start(self) -> None:
        while self._ready:
            run = min(self._ready, key=lambda run: (run.background, max(run.wake, run.armed)))
            self._ready.remove(run)
            if run.state == "QUEUED" and (not run.background or self.admit(run)):
                run.state, run.reason, run.attempt, run.fresh = "RUNNING", "NONE", run.attempt + 1, True
                self._steps.append((run, ""))

    def admit(self, run: Run) -> bool:
        """Whether it may start, as far as the other runs of its schedule go."""
        it = run.schedule
        others = [other for other in it.open() if other is not run and other.begun]
        if run.attempt or not others or run.overlap == "ALLOW_ALL":
            return True
        behind = all(other.background for other in others) and run.cause != "BACKFILL"
        first = run.background and not all(other.background for other in others)
        overlap, waiting = run.overlap, it.buffers[run.background]
        ends_others = overlap in ("CANCEL_OTHER", "TERMINATE_OTHER") and not first
        most = {"SKIP": 1 if behind else 0, "BUFFER_ONE": 1}.get(overlap, 1000)
        if not ends_others and len(waiting) >= most:
            self.finish(run, "SKIPPED", "OVERLAP" if most == 0 else "BUFFER_FULL")
            return False
        run.state = "QUEUED"
        run.reason = "OVERLAP_CANCELLED" if ends_others else "OVERLAP"
        waiting.insert(0 if waiting and run.wake < waiting[0].wake else len(waiting), run)
        for other in others if ends_others else []:
            if other.state == "RUNNING" and not other.fresh:
                self._steps.append((other, "OVERLAP_CANCELLED"))
            else:
                other.attempt -= other.state == "RUNNING"
                self.finish(other, "CANCELLED", "OVERLAP_CANCELLED")
        return False

    def conclude(self, run: Run, answer: str) -> None:
        """An attempt has ended."""
        more = run.attempt - run.attempts_before < run.policy.attempts and run.schedule.state != "DELETED"
        if answer == "FAILED" and more:
            run.state, run.reason, run.wake = "WAITING_RETRY", "HTTP_STATUS", self.now + run.policy.backoff
        else:
            self.finish(run, answer, "COMPLETED" if answer == "SUCCEEDED" else "HTTP_STATUS")

    def finish(self, run: Run, outcome: str, reason: str) -> None:
        it = run.schedule
        run.state, run.outcome, run.reason = "FINISHED", outcome, reason
        for waiting in it.buffers.values():
            if run in waiting:
                waiting.remove(run)
        if run.policy.max_runs and run.cause == "SCHEDULE" and not run.redelivered and run.attempt:
            it.ran += 1
            it.over |= it.ran >= run.policy.max_runs and it.state == "ENABLED"
        if run.policy.failures and outcome == "FAILED":
            self._failed.append(it)
        self.let_go(it)

    def let_go(self, it: Standing) -> None:
        """The buffered run whose turn it is gets ready, if nothing else of the schedule is under way."""
        on_time = it.buffers[False]
        waiting = on_time or it.buffers[True]
        if waiting and sum(run.begun for run in it.open()) == len(on_time):
            self.get_ready(waiting.pop(0))

    def pause_failing(self) -> None:
        failed, self._failed = self._failed, []
        for it in failed:
            ended = [run for run in reversed(it.runs) if run.outcome in ("SUCCEEDED", "FAILED")]
            in_a_row = 0
            for run in ended:
                if run.outcome == "SUCCEEDED" or run.generation < it.generation:
                    break
                in_a_row += 1
            if it.state == "ENABLED" and 0 < it.policy.failures <= in_a_row:
                it.is_paused, it.pause_end = True, None
                self.change(it, "PAUSED")
