"""The judge of the service: reads the journal, and objects to what must not be as things stand, and to what ought to have been.

It judges each entry by those before it, so it does not mind in which order the daemon goes about its work. Once nothing moves until the
clock does, it judges what is there: each occurrence has its fate, whoever waits has something to wait for, and nothing is owed.
"""

from __future__ import annotations

from collections.abc import Container
from typing import Any

from tests.service.model import Model
from tests.service.things import DAY, RUN, SECOND, Run, Standing

CLIENT = "test"
HORIZON = SECOND // 2
"""So much earlier than its instant an occurrence may be armed."""
_LATE = ("MISFIRE", "CATCH_UP_WINDOW", "CATCH_UP_SUPERSEDED")
_ENDS_OTHERS = ("CANCEL_OTHER", "TERMINATE_OTHER")


class Judge(Model):
    """A model that learns from the journal what the daemon has done by itself."""

    def __init__(self, now: int) -> None:
        super().__init__(now)
        self.answers: dict[tuple[int, int], str] = {}
        """What the target has answered and nobody has recorded, by execution and attempt."""
        self.forced: list[int] = []
        """The executions that the target was told to end by force."""

    def read(self, entry: Any) -> None:
        """Judge an entry by what was before it."""
        self.now, self.entry, kind = entry.time_us, entry, str(entry.kind)
        if kind == "SCHEDULE_CREATED":
            self.by_uid[entry.schedule_uid] = self.by_name[entry.schedule.schedule]
        it = self.by_uid.get(entry.schedule_uid)
        if entry.actor == CLIENT and (kind.startswith("SCHEDULE_") or kind == "EXECUTION_REDELIVERED"):
            told = (entry.evidence.get("detail", ""), entry.evidence.get("until_us")) if kind == "SCHEDULE_PAUSED" else ()
            self.objects_unless((kind, entry.schedule.schedule, *told) in self.told, "nobody did that")
            self.told.remove((kind, entry.schedule.schedule, *told))
        elif it and kind == "EXECUTION_ARMED":
            self.is_armed(it, str(entry.execution.cause), entry.execution.nominal_us, entry.execution.due_us)
        elif it and kind.startswith("EXECUTION_"):
            run = it.runs[entry.execution.id]
            {
                "EXECUTION_QUEUED": self.waits,
                "EXECUTION_STARTED": self.starts,
                "EXECUTION_RETRYING": self.retries,
                "EXECUTION_FINISHED": self.ends,
                "EXECUTION_DISARMED": self.is_taken_back,
                "EXECUTION_DEAD_LETTERED": self.is_dead,
            }[kind](it, run, str(entry.reason))
            run.reason = str(entry.reason)
        elif it and kind.startswith("OCCURRENCES_") and entry.reason != "EXCLUDED" and "backfill" not in entry.evidence:
            self.are_left_out(it, str(entry.reason), entry.evidence["first_us"], entry.evidence["last_us"], entry.evidence["count"])
        elif it and kind.startswith("SCHEDULE_"):
            self.changes(it, kind, str(entry.reason))

    def objects_unless(self, holds: object, text: str) -> None:
        assert holds, f"{text}: {self.entry}"

    # Occurrences

    def is_armed(self, it: Standing, cause: str, nominal: int, due: int) -> None:
        run = Run(it, cause, nominal, due, self.now, it.policy, it.generation)
        if (cause, nominal) in it.asked:
            run.own_overlap = it.asked.pop((cause, nominal))
        else:
            lawful = it.state == "ENABLED" and cause == "SCHEDULE" and due == nominal <= self.now + HORIZON and it.runs_left() > 0
            self.objects_unless(lawful and self.after(it.rule, nominal - 1) == nominal, "nobody asked for it")
            self.decide_late(it, nominal)
            self.objects_unless(it.owed.pop(nominal, RUN) == RUN, "it is to be left out")
        if cause == "SCHEDULE":
            self.objects_unless(nominal not in it.fates, "its fate is decided")
            it.fates[nominal] = RUN
        it.runs[self.entry.execution.id] = run

    def are_left_out(self, it: Standing, reason: str, first: int, last: int, count: int) -> None:
        if reason in _LATE:
            self.decide_late(it, first)
        if reason == "MAX_RUNS" and it.owed.get(first, RUN) == RUN:
            self.decide_late(it, first)
            beyond = [at for at in (*self.undecided(it, last), *it.owed) if first <= at <= last and it.owed.get(at, RUN) == RUN]
            self.objects_unless(it.policy.max_runs, "it may run as often as it likes")
            it.owed |= dict.fromkeys(beyond, reason)
        told = sorted(at for at, fate in it.owed.items() if first <= at <= last and (fate == reason or it.relives))
        exact = told and (told[0], told[-1], min(len(told), 1000)) == (first, last, count)
        self.objects_unless(it.relives or exact, f"these are left out: {told}")
        for at in told:
            it.fates[at] = it.owed.pop(at)

    def decide_late(self, it: Standing, at: int) -> None:
        """What is late is decided all together."""
        if at not in it.owed and at < self.now - it.policy.grace:
            it.owed |= self.caught_up(it, self.undecided(it, self.now - it.policy.grace - 1), it.policy.catch_up)

    # Schedules

    def changes(self, it: Standing, kind: str, reason: str) -> None:
        """By the daemon itself."""
        match kind, reason:
            case "SCHEDULE_COMPLETED", _:
                over = it.ran >= it.policy.max_runs > 0 if reason == "MAX_RUNS" else self.next_undecided(it) is None
                self.objects_unless(it.state == "ENABLED" and not it.open() and over, "it is not over")
                self.change(it, "COMPLETED")
            case "SCHEDULE_PAUSED", "CONSECUTIVE_FAILURES":
                self.objects_unless(it.state == "ENABLED" and 0 < it.policy.failures <= it.failed_in_a_row(), "it has not failed so often")
                self.pause_for_failures(it)
            case "SCHEDULE_RESUMED", "ENDED":
                self.objects_unless(it.state == "PAUSED" and it.pause and it.pause.is_over(self.now), "the pause goes on")
                self.end_pause(it)
            case "SCHEDULE_RESUMED", "CLOCK_STEP":
                self.objects_unless(it.state == "COMPLETED" and self.next_undecided(it) is not None, "it is over")
                self.change(it, "ENABLED")
            case _:
                self.objects_unless(False, "that must not happen")

    # Runs

    def waits(self, it: Standing, run: Run, reason: str) -> None:
        if reason == "CONCURRENCY":
            self.objects_unless(self.is_full(run, self.come_due()), "its key has room")
        else:
            ends = run.overlap in _ENDS_OTHERS and reason == "OVERLAP_CANCELLED"
            lawful = ends or (reason == "OVERLAP" and run.overlap != "ALLOW_ALL")
            self.objects_unless(lawful and run.attempt == 0 and self.others(run), "it has nothing to wait for")
        run.state = "QUEUED"

    def starts(self, it: Standing, run: Run, reason: str) -> None:
        beside = [other for other in self.others(run) if other.attempt]
        self.objects_unless(run.attempt or run.overlap == "ALLOW_ALL" or not beside, "it overlaps another")
        self.objects_unless(run.state not in ("RUNNING", "FINISHED") and run.wake <= self.now and not run.misfire, "it must not run now")
        self.objects_unless(not run.policy.limit or len(self.running()) < self.limit(DAY), "its key is full")
        run.state, run.attempt = "RUNNING", run.attempt + 1
        self.objects_unless(run.attempt == self.entry.attempt, "its attempts are miscounted")

    def retries(self, it: Standing, run: Run, reason: str) -> None:
        next_us = self.entry.evidence["next_attempt_us"]
        if reason == "INTERRUPTED":
            self.objects_unless(run.cut_off and run.policy.delivery == "AT_LEAST_ONCE" and next_us == self.now, "nothing cut it off")
        else:
            answer = self.answers.pop((self.entry.execution.id, run.attempt), "none")
            self.objects_unless(
                answer == "FAILED" and self.has_more(run) and next_us == self.now + run.policy.backoff, "it is not to retry"
            )
        run.state, run.wake, run.cut_off = "WAITING_RETRY", next_us, False

    def ends(self, it: Standing, run: Run, reason: str) -> None:
        outcome, others, id_ = str(self.entry.outcome), self.others(run), self.entry.execution.id
        buffered = [each for each in others if each.state == "QUEUED" and each.attempt == 0 and each.background == run.background]
        match outcome, reason:
            case ("SUCCEEDED", "COMPLETED") | ("FAILED", "HTTP_STATUS"):
                lawful = self.answers.pop((id_, run.attempt), "none") == outcome and not (outcome == "FAILED" and self.has_more(run))
            case "CANCELLED", "CANCELLED":
                lawful = run.cancelled
            case "CANCELLED", "DELETED":
                lawful = it.state == "DELETED" and (run.state != "RUNNING" or run.cut_off)
            case "CANCELLED", "OVERLAP_CANCELLED":
                by = [other for other in others if other.state == "QUEUED" and other.overlap in _ENDS_OTHERS]
                lawful = bool(by) and (run.state != "RUNNING" or (id_ in self.forced) == (by[-1].overlap == "TERMINATE_OTHER"))
            case "SKIPPED", "OVERLAP":
                lawful = run.overlap == "SKIP" and bool(others)
            case "SKIPPED", "BUFFER_FULL":
                lawful = run.overlap in ("SKIP", "BUFFER_ONE") and bool(buffered)
            case "SKIPPED", "CONCURRENCY":
                lawful = run.policy.when_full == "SKIP" and not run.background and run.attempt == 0 and self.is_full(run, self.come_due())
            case "UNKNOWN", "INTERRUPTED":
                lawful = run.cut_off and run.policy.delivery == "AT_MOST_ONCE"
            case _:
                lawful = outcome == "MISSED" and reason == run.misfire
        self.objects_unless(lawful and run.state != "FINISHED", "it must not end so")
        run.state, run.outcome, run.attempt, run.cancelled, run.cut_off = "FINISHED", outcome, self.entry.attempt, False, False
        it.ran += run.counts and run.attempt > 0 and run.policy.max_runs > 0

    def is_taken_back(self, it: Standing, run: Run, reason: str) -> None:
        self.objects_unless(run.ahead, "it was not armed ahead")
        del it.runs[self.entry.execution.id], it.fates[run.nominal]

    def is_dead(self, it: Standing, run: Run, reason: str) -> None:
        self.objects_unless(run.outcome == "FAILED", "it has not failed")

    def others(self, run: Run) -> list[Run]:
        """The unfinished ones of its schedule that have come due."""
        return [other for other in run.schedule.open() if (other is not run and other.wake <= self.now) or other.attempt]

    def has_more(self, run: Run) -> bool:
        return run.attempt - run.attempts_before < run.policy.attempts and run.schedule.state != "DELETED"

    def limit(self, otherwise: int = 1) -> int:
        """The lowest limit of the key's schedules; without any, the last one holds, which may have been any."""
        return min((it.policy.limit for it in self.by_uid.values() if it.policy.limit and it.state != "DELETED"), default=otherwise)

    def running(self) -> list[Run]:
        return [run for it in self.by_uid.values() for run in it.open() if run.state == "RUNNING" and run.policy.limit]

    def come_due(self) -> list[Run]:
        """Those that have the key, or will have told that they have."""
        return [run for it in self.by_uid.values() for run in it.open() if run.wake <= self.now and run.policy.limit]

    def is_full(self, run: Run, holders: list[Run]) -> bool:
        """Whether the key has no room beside its holders: the background leaves one place free, unless there is only one."""
        others = [each.background for each in holders if each is not run]
        behind = run.background and sum(others) >= max(1, self.limit() - 1)
        return run.policy.limit > 0 and (len(others) >= self.limit() or behind)

    # At rest

    def rest(self, now: int, called: Container[int]) -> None:
        """Judge what is there while the clock stands still; `called` are the executions for which the target is being called."""
        self.now, self.entry = now, None
        self.objects_unless(not self.told and not self.answers, f"it is not in the journal: {self.told} {self.answers}")
        for it in self.by_uid.values():
            self.entry = it
            if it.relives or 0 < it.policy.max_runs <= it.ran:  # The latest of all may have been run before the clock was set back.
                it.owed = {at: fate for at, fate in it.owed.items() if fate != RUN}
            self.objects_unless(not it.owed and not it.asked, f"it is not in the journal: {it.owed} {it.asked}")
            for id_, run in it.runs.items():
                self.entry = run
                self.objects_unless(self.may_rest(run, id_ in called), f"it is not to stand still at {now}")
            if it.state == "ENABLED":
                next_us, limited = self.next_undecided(it), it.policy.max_runs and not it.runs_left()
                self.objects_unless(limited or next_us is None or next_us > now, "an occurrence is not decided")
                self.objects_unless(it.open() or (next_us is not None and (next_us > now or not limited)), "it is over")
                self.objects_unless(not 0 < it.policy.failures <= it.failed_in_a_row(), "it has failed often enough")
                it.since = now
            self.objects_unless(it.state != "PAUSED" or (it.pause and not it.pause.is_over(now)), "its pause is over")

    def may_rest(self, run: Run, called: bool) -> bool:
        it, running = run.schedule, self.running()
        blocked = self.is_full(run, running)
        if not run.attempt and run.overlap != "ALLOW_ALL":
            blocked = blocked or any(other.attempt or self.is_full(other, running) for other in self.others(run))
        match run.state:
            case "FINISHED":
                return not run.cancelled
            case "RUNNING":
                return called and not run.cancelled and not run.cut_off
            case "ARMED" if run.ahead and run.wake > self.now:
                its_own = it.state == "ENABLED" and run.generation == it.generation and self.after(it.rule, run.nominal - 1) == run.nominal
                return its_own and not run.cancelled
            case _:
                return it.state != "DELETED" and (run.wake > self.now or blocked) and not run.cancelled
