"""The model of the service: which calls it refuses, what becomes of schedules by the others, and which occurrences are run.

It shares no code with the daemon, and knows rules of one kind: an instant every so many seconds, without the days that a calendar closes.
Time is in microseconds. What it cannot know from the calls, the judge (judge.py) lets it know from the journal.
"""

from __future__ import annotations

from collections.abc import Iterator

from tests.service.things import DAY, RUN, Pause, Policy, Rule, Run, Standing, refuse_if


class Model:
    """All schedules ever, by the names that they have or had last, and by their uids."""

    def __init__(self, now: int) -> None:
        self.now = now
        self.by_name: dict[str, Standing] = {}
        self.by_uid: dict[int, Standing] = {}
        self.closed: set[int] = set()
        """Days since 1970."""
        self.told: list[tuple[object, ...]] = []
        """What clients did and the journal is to tell: its kind, the schedule's name, and a pause's reason and end."""

    # Instants

    def after(self, rule: Rule, at: int) -> int | None:
        following = at - (at - rule.phase) % rule.every + rule.every
        while rule.calendar and following // DAY in self.closed:
            midnight = (following // DAY + 1) * DAY
            following = midnight + (rule.phase - midnight) % rule.every
        return None if rule.end is not None and following >= rule.end else following

    def between(self, rule: Rule, after: int, through: int) -> Iterator[int]:
        while (at := self.after(rule, after)) is not None and at <= through:
            yield at
            after = at

    def undecided(self, it: Standing, through: int) -> list[int]:
        return [at for at in self.between(it.rule, it.since, through) if at not in it.fates and at not in it.owed]

    def next_undecided(self, it: Standing) -> int | None:
        at = self.after(it.rule, it.since)
        while at is not None and at in it.fates:
            at = self.after(it.rule, at)
        return at

    def caught_up(self, it: Standing, late: list[int], mode: str, end: int = 0) -> dict[int, str]:
        """What becomes of occurrences that are all late; by the `end` of a pause, which is right after now."""
        if not late or mode in ("NONE", "PAUSED"):
            return dict.fromkeys(late, "PAUSED" if mode == "PAUSED" else "MISFIRE")
        oldest = (end or self.now) - self.window(it, late[-1])
        young = [at for at in late if at >= oldest]
        chosen = {"LATEST": young[-1:], "EARLIEST": young[:1], "ALL": young}[mode]
        superseded = young if mode != "LATEST" or not young else late
        return {at: RUN if at in chosen else "CATCH_UP_SUPERSEDED" if at in superseded else "CATCH_UP_WINDOW" for at in late}

    def window(self, it: Standing, at: int) -> int:
        following = self.after(it.rule, at)
        return it.policy.window or (DAY if following is None else min(DAY, 2 * (following - at)))

    # Calls

    def create(self, drafts: list[tuple[str, Rule, Policy, Pause | None]]) -> None:
        names = [name for name, *_ in drafts]
        refuse_if(
            any(self.after(rule, self.now) is None or (pause and pause.is_over(self.now)) for _, rule, _, pause in drafts), "InvalidError"
        )
        refuse_if(len(set(names)) < len(names) or any(self.is_live(name) for name in names), "AlreadyExistsError")
        for name, rule, policy, pause in drafts:
            self.by_name[name] = Standing(name, rule, policy, self.now, pause, "PAUSED" if pause else "ENABLED")
            self.told += [("SCHEDULE_CREATED", name)] + ([("SCHEDULE_PAUSED", name, pause.reason, pause.end)] if pause else [])

    def is_live(self, name: str) -> bool:
        return name in self.by_name and self.by_name[name].state != "DELETED"

    def live(self, name: str, seen: int | None = None) -> Standing:
        refuse_if(not self.is_live(name), "NotFoundError")
        refuse_if(seen not in (None, self.by_name[name].generation), "ConflictError ETAG_MISMATCH")
        return self.by_name[name]

    def update(self, name: str, seen: int | None, rule: Rule | None = None, policy: Policy | None = None, text: str | None = None) -> None:
        it = self.live(name, seen)
        new = (rule or it.rule, policy or it.policy, it.description if text is None else text)
        refuse_if(new[0] != it.rule and self.after(new[0], self.now) is None, "InvalidError")
        if new != (it.rule, it.policy, it.description):
            anew = new[0] != it.rule or it.state == "COMPLETED"
            if new[0] != it.rule and it.state == "PAUSED":
                it.owed.update(self.caught_up(it, self.undecided(it, self.now), "PAUSED"))
            it.rule, it.policy, it.description = new
            self.change(it, "PAUSED" if it.state == "PAUSED" else "ENABLED", "SCHEDULE_UPDATED", anew=anew)

    def delete(self, name: str, seen: int | None) -> None:
        self.change(self.live(name, seen), "DELETED", "SCHEDULE_DELETED")

    def undelete(self, name: str, seen: int | None) -> None:
        refuse_if(name not in self.by_name, "NotFoundError")
        refuse_if(self.is_live(name), "AlreadyExistsError")
        it = self.by_name[name]
        refuse_if(seen not in (None, it.generation), "ConflictError ETAG_MISMATCH")
        state = "PAUSED" if it.pause else "COMPLETED" if self.after(it.rule, self.now) is None else "ENABLED"
        self.change(it, state, "SCHEDULE_UNDELETED", anew=True)

    def pause(self, name: str, seen: int | None, pause: Pause) -> None:
        refuse_if(pause.is_over(self.now), "InvalidError")
        it = self.live(name, seen)
        refuse_if(it.state not in ("ENABLED", "PAUSED"), "PreconditionError NOT_ENABLED")
        it.pause = pause
        self.change(it, "PAUSED", "SCHEDULE_PAUSED", pause.reason, pause.end)

    def resume(self, name: str, seen: int | None, backlog: str) -> None:
        it = self.live(name, seen)
        refuse_if(it.state not in ("ENABLED", "PAUSED"), "PreconditionError NOT_PAUSED")
        if it.state == "PAUSED":
            decided = self.caught_up(it, self.undecided(it, self.now), "PAUSED" if backlog == "NONE" else backlog, self.now + 1)
            runs = [at for at in decided if decided[at] == RUN]
            decided |= dict.fromkeys(runs[it.runs_left() :], "MAX_RUNS")
            overlap = "ALLOW_ALL" if it.policy.overlap == "ALLOW_ALL" else "BUFFER_ALL"
            it.asked |= {("SCHEDULE", at): overlap for at in runs[: it.runs_left()]}
            it.owed |= {at: fate for at, fate in decided.items() if fate != RUN}
            it.pause = None
            self.change(it, "ENABLED", "SCHEDULE_RESUMED", anew=True)

    def trigger(self, name: str) -> None:
        it = self.live(name)
        refuse_if(any((run.cause, run.nominal) == ("MANUAL", self.now) for run in it.runs.values()), "PreconditionError TRIGGERED_ALREADY")
        it.asked["MANUAL", self.now] = ""

    def backfill(self, name: str, start: int, end: int, overlap: str) -> None:
        refuse_if(start >= end or end > self.now, "InvalidError")
        it = self.live(name)
        before = {run.nominal for run in it.runs.values() if run.cause == "BACKFILL"}
        it.asked |= {("BACKFILL", at): overlap for at in self.between(it.rule, start - 1, end - 1) if at not in before}

    def cancel(self, run: Run) -> None:
        refuse_if(run.state == "FINISHED", "PreconditionError EXECUTION_FINISHED")
        run.cancelled = True

    def redeliver(self, run: Run) -> None:
        refuse_if(run.schedule.state == "DELETED", "PreconditionError DELETED")
        refuse_if(run.state != "FINISHED", "PreconditionError NOT_FINISHED")
        self.told.append(("EXECUTION_REDELIVERED", run.schedule.name))
        run.state, run.outcome, run.wake, run.redelivered = "WAITING_RETRY", None, self.now, True
        run.attempts_before, run.policy = run.attempt, run.schedule.policy

    def close_days(self, days: set[int]) -> None:
        self.closed = days

    # What the daemon does by itself

    def end_pause(self, it: Standing) -> None:
        last = it.pause.end - 1 if it.pause and it.pause.end else self.now
        it.owed |= self.caught_up(it, self.undecided(it, last), "PAUSED")
        since, it.pause = max(it.since, last), None
        self.change(it, "ENABLED")
        it.since = since

    def pause_for_failures(self, it: Standing) -> None:
        it.pause = Pause("schedd", self.now, f"{it.policy.failures} executions failed in a row")
        self.change(it, "PAUSED")

    def change(self, it: Standing, state: str, kind: str = "", *told: object, anew: bool = False) -> None:
        """The schedule's next generation, from now on if it begins `anew` or was not paused before."""
        if anew or it.state != "PAUSED":
            it.since = self.now
        self.decide_anew(it, self.now)
        it.state, it.generation = state, it.generation + 1
        self.told += [(kind, it.name, *told)] if kind else []

    def decide_anew(self, it: Standing, after: int) -> None:
        """What was left out ahead of its time may be run after all."""
        it.fates = {at: fate for at, fate in it.fates.items() if fate == RUN or at <= after}

    # Time

    def leap(self, to: int, *, stepped: bool) -> None:
        """The host was asleep until then, or its clock was set."""
        by, self.now = to - self.now, to
        for it in self.by_uid.values():
            for run in it.open():
                run.wake += by if stepped and not run.ahead else 0
                run.misfire = self.misfire(run) if by > 0 else run.misfire
            if by < 0:  # What was left out after that may have its time again.
                it.since, it.relives = min(it.since, to), it.relives or any(at > to for at in it.fates)
                self.decide_anew(it, to)

    def restart(self, to: int) -> None:
        """The daemon was killed, and starts again then."""
        self.now = to
        for run in [run for it in self.by_uid.values() for run in it.open()]:
            run.policy, run.cut_off, run.misfire = run.schedule.policy, run.state == "RUNNING", self.misfire(run)

    def misfire(self, run: Run) -> str:
        """Why what was armed and has not begun is given up, if nothing ran for long."""
        it, policy, live_from = run.schedule, run.policy, self.now - run.policy.grace
        in_turn = run.background and policy.catch_up == "ALL"
        if run.state != "ARMED" or run.cause != "SCHEDULE" or in_turn or it.state == "DELETED" or max(run.wake, run.armed) >= live_from:
            return ""
        following = self.after(it.rule, run.nominal) or self.now
        if policy.catch_up == "NONE" or run.nominal < self.now - self.window(it, run.nominal):
            return "MISFIRE" if policy.catch_up == "NONE" else "CATCH_UP_WINDOW"
        return "CATCH_UP_SUPERSEDED" if policy.catch_up == "LATEST" and following < live_from else ""
