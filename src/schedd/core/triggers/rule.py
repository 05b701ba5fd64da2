"""What a compiled rule answers, and the rules made of other rules: unions, exclusions, bounds."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from typing import Final, Protocol

from schedd.core.triggers.civil import DAY_US, LAST_US


class Rule(Protocol):
    """A compiled trigger: immutable, shareable between schedules. Instants are UTC microseconds."""

    def next_after(self, t_us: int) -> int | None:
        """The first fire time strictly after `t_us`; None when there is none any more."""

    def prev_before(self, t_us: int) -> int | None:
        """The last fire time strictly before `t_us`; None when there is none."""


class Exclusion(Protocol):
    """What is left out of another rule."""

    def skip(self, t_us: int) -> int | None:
        """`t_us` itself when it is not left out; else the first later instant that may not be; None when there is none any more."""

    def skip_back(self, t_us: int) -> int | None:
        """`t_us` itself when it is not left out; else the last earlier instant that may not be; None when there is none."""

    def next_out(self, t_us: int) -> int | None:
        """`t_us` itself when it is left out; else the first later instant that may be; None when there is none any more."""

    def prev_out(self, t_us: int) -> int | None:
        """`t_us` itself when it is left out; else the last earlier instant that may be; None when there is none."""


class Instants:
    """A list of instants."""

    __slots__ = ("times_us",)

    def __init__(self, times_us: tuple[int, ...]) -> None:
        self.times_us = times_us
        """Ascending."""

    def next_after(self, t_us: int) -> int | None:
        index = bisect_right(self.times_us, t_us)
        return self.times_us[index] if index < len(self.times_us) else None

    def prev_before(self, t_us: int) -> int | None:
        index = bisect_left(self.times_us, t_us)
        return self.times_us[index - 1] if index else None


NEVER: Final = Instants(())
"""The rule of what the clock does not fire: a start of the daemon, the completion of an execution."""


class Union:
    """Fires when any of its rules does; once where several do at the same instant."""

    __slots__ = ("rules",)

    def __init__(self, rules: tuple[Rule, ...]) -> None:
        self.rules = rules

    def next_after(self, t_us: int) -> int | None:
        return min((t for rule in self.rules if (t := rule.next_after(t_us)) is not None), default=None)

    def prev_before(self, t_us: int) -> int | None:
        return max((t for rule in self.rules if (t := rule.prev_before(t_us)) is not None), default=None)


class Bounded:
    """A rule within [start_us, end_us)."""

    __slots__ = ("_end_us", "_start_us", "rule")

    def __init__(self, rule: Rule, start_us: int | None, end_us: int | None) -> None:
        self.rule = rule
        self._start_us = start_us
        self._end_us = end_us

    def next_after(self, t_us: int) -> int | None:
        if self._start_us is not None and t_us < self._start_us:
            t_us = self._start_us - 1
        found = self.rule.next_after(t_us)
        return None if found is None or (self._end_us is not None and found >= self._end_us) else found

    def prev_before(self, t_us: int) -> int | None:
        if self._end_us is not None and t_us > self._end_us:
            t_us = self._end_us
        found = self.rule.prev_before(t_us)
        return None if found is None or (self._start_us is not None and found < self._start_us) else found


SKIP_LIMIT: Final = 10_000
SKIPPED_US: Final = 100 * 366 * DAY_US
"""How many excluded candidates in a row are looked at, over how long a time, before a rule is held to be over: it bounds the time of one
answer."""


class Excluding:
    """A rule minus what its exclusions leave out."""

    __slots__ = ("_exclusions", "rule")

    def __init__(self, rule: Rule, exclusions: tuple[Exclusion, ...]) -> None:
        self.rule = rule
        self._exclusions = exclusions

    def next_after(self, t_us: int) -> int | None:
        candidate = first = self.rule.next_after(t_us)
        for _ in range(SKIP_LIMIT):
            if candidate is None or first is None or candidate > first + SKIPPED_US:
                return None
            resume = self._skip(candidate)
            if resume == candidate:
                return candidate
            candidate = None if resume is None else self.rule.next_after(resume - 1)
        return None

    def prev_before(self, t_us: int) -> int | None:
        candidate = last = self.rule.prev_before(t_us)
        for _ in range(SKIP_LIMIT):
            if candidate is None or last is None or candidate < last - SKIPPED_US:
                return None
            resume = self._skip_back(candidate)
            if resume == candidate:
                return candidate
            candidate = None if resume is None else self.rule.prev_before(resume + 1)
        return None

    def _skip(self, t_us: int) -> int | None:
        for exclusion in self._exclusions:
            resume = exclusion.skip(t_us)
            if resume != t_us:
                return resume
        return t_us

    def _skip_back(self, t_us: int) -> int | None:
        for exclusion in self._exclusions:
            resume = exclusion.skip_back(t_us)
            if resume != t_us:
                return resume
        return t_us


class ExcludedInstants:
    """Leaves out the very instants of a rule."""

    __slots__ = ("rule",)

    def __init__(self, rule: Rule) -> None:
        self.rule = rule

    def skip(self, t_us: int) -> int | None:
        return t_us + 1 if self.rule.next_after(t_us - 1) == t_us else t_us

    def skip_back(self, t_us: int) -> int | None:
        return t_us - 1 if self.rule.next_after(t_us - 1) == t_us else t_us

    def next_out(self, t_us: int) -> int | None:
        return self.rule.next_after(t_us - 1)

    def prev_out(self, t_us: int) -> int | None:
        return self.rule.prev_before(t_us + 1)


LEAPS: Final = 1_000
"""How many occurrences in a row that run are passed over in search of one that does not: it bounds the time of one answer."""


class Omitted:
    """What of a rule its exclusions leave out: the occurrences that do not run."""

    __slots__ = ("_exclusions", "_rule")

    def __init__(self, rule: Rule, exclusions: tuple[Exclusion, ...]) -> None:
        self._rule = rule
        self._exclusions = exclusions

    def next_after(self, t_us: int) -> int | None:
        return self.first_between(t_us, LAST_US)

    def first_between(self, after_us: int, before_us: int) -> int | None:
        """The first one after `after_us` and before `before_us`."""
        candidate = self._rule.next_after(after_us)
        for _ in range(LEAPS):
            if candidate is None or candidate >= before_us:
                return None
            out = min((at for exclusion in self._exclusions if (at := exclusion.next_out(candidate)) is not None), default=None)
            if out is None or out == candidate:
                return out
            candidate = self._rule.next_after(out - 1)
        return None

    def prev_before(self, t_us: int) -> int | None:
        candidate = self._rule.prev_before(t_us)
        for _ in range(LEAPS):
            if candidate is None:
                return None
            out = max((at for exclusion in self._exclusions if (at := exclusion.prev_out(candidate)) is not None), default=None)
            if out is None or out == candidate:
                return out
            candidate = self._rule.prev_before(out + 1)
        return None
