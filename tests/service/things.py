"""What the model speaks of: rules, policies, pauses, schedules as they stand, and their runs. Time is in microseconds."""

from __future__ import annotations

from dataclasses import dataclass, field

SECOND = 1_000_000
DAY = 86_400 * SECOND
LATE = 2 * SECOND
"""What is armed later than this after its time runs in the background."""
RUN = "RUN"
"""The fate of an occurrence that is run; the others are the reasons for which they are not."""


class Refused(Exception):
    """A call that has to fail; the text is the error's class, and its reason if it has one."""


def refuse_if(wrong: object, text: str) -> None:
    if wrong:
        raise Refused(text)


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
    """As the daemon has it; `limit` is that of the one concurrency key, if the schedule has that."""

    overlap: str = "SKIP"
    catch_up: str = "LATEST"
    window: int | None = None
    grace: int = 30 * SECOND
    attempts: int = 1
    backoff: int = 7_300_000
    delivery: str = "AT_LEAST_ONCE"
    max_runs: int = 0
    failures: int = 0
    limit: int = 0
    when_full: str = "WAIT"


@dataclass(frozen=True)
class Pause:
    actor: str
    since: int
    reason: str = ""
    end: int | None = None

    def is_over(self, now: int) -> bool:
        return self.end is not None and self.end <= now


@dataclass(eq=False)
class Run:
    schedule: Standing
    cause: str
    nominal: int
    wake: int
    armed: int
    policy: Policy
    generation: int
    own_overlap: str = ""
    state: str = "ARMED"
    outcome: str | None = None
    reason: str = "NONE"
    attempt: int = 0
    attempts_before: int = 0
    redelivered: bool = False
    cancelled: bool = False
    cut_off: bool = False
    misfire: str = ""
    """Why it is not to start any more."""

    def __post_init__(self) -> None:
        self.background = self.cause == "BACKFILL" or self.armed - self.wake > LATE

    @property
    def ahead(self) -> bool:
        return self.state == "ARMED" and self.cause == "SCHEDULE" and not self.background

    @property
    def overlap(self) -> str:
        in_turn = self.background and self.policy.catch_up == "ALL" and self.policy.overlap != "ALLOW_ALL"
        return self.own_overlap or ("BUFFER_ALL" if in_turn else self.policy.overlap)

    @property
    def counts(self) -> bool:
        """Whether `max_runs` counts it, once it has begun."""
        return self.cause == "SCHEDULE" and not self.redelivered


@dataclass(eq=False)
class Standing:
    """A schedule. What came up to `since` is done with, or nobody's business."""

    name: str
    rule: Rule
    policy: Policy
    since: int
    pause: Pause | None = None
    state: str = "ENABLED"
    generation: int = 1
    description: str = ""
    ran: int = 0
    relives: bool = False
    """Whether instants that it has decided came again, by a clock set back: ranges of what is left out may take in what was run."""
    runs: dict[int, Run] = field(default_factory=dict)
    """By id."""
    fates: dict[int, str] = field(default_factory=dict)
    """Of the occurrences that are decided."""
    owed: dict[int, str] = field(default_factory=dict)
    """Fates that are to be told of."""
    asked: dict[tuple[str, int], str] = field(default_factory=dict)
    """Runs that somebody has asked for: by cause and nominal time, the overlap policies."""

    def open(self) -> list[Run]:
        return [run for run in self.runs.values() if run.state != "FINISHED"]

    def runs_left(self) -> int:
        """How many more `max_runs` allows."""
        under_way = sum(run.counts for run in self.open())
        return max(0, self.policy.max_runs - self.ran - under_way) if self.policy.max_runs else 10**9

    def failed_in_a_row(self) -> int:
        """Of this generation, the last ones that failed without a success in between."""
        ended = [run for run in reversed(self.runs.values()) if run.outcome in ("SUCCEEDED", "FAILED")]
        good = (place for place, run in enumerate(ended) if run.outcome == "SUCCEEDED" or run.generation < self.generation)
        return next(good, len(ended))
