"""Texts that are expressions, nearly expressions, or nothing at all; and what has to hold for each. A seed gives the same texts again."""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from time import process_time_ns

from schedd.core.errors import ExpressionError
from schedd.core.model.when import Expression, When
from schedd.core.triggers import Rule, compilation, compile_when, described, recognition

SEEDS = (
    *("* * * * *", "30 4 * * 1-5", "*/15 9-17 * * MON-FRI", "0 0 1,15 * *", "5/15 0-23/2 1-7 jan,jul sun", "0 0 L * *", "0 0 L-3 * *"),
    *("0 0 LW 2,11 *", "0 9 15W * *", "0 0 * * FRI#2", "0 0 * * 5L", "0 0 29 2 *", "0 0 29 2 1", "H H(0-3) * * *", "~ 0-7~12 * * *"),
    *("0 30 4 * * 1-5", "*/10 * * * * *", "0 0 0 29 2 ? 2028", "0 0 9 1 1 * 2030-2035/2", "@daily", "@yearly", "@reboot", "@every 90s"),
    *("every 1h30m", "cron(0 10 ? * MON-FRI *)", "cron(0/5 8-17 ? * 2-6 *)", "cron(15 12 L * ? 2026)", "cron(0 0 ? * 6#5 2030-2040)"),
    *("rate(5 minutes)", "rate(1 day)", "at(2030-01-31T09:00:00)", "2030-01-31T09:00:00Z", "2030-01-31T09:00+05:30", "0 0 31 2 *"),
    *("Mon..Fri *-*-* 09:00", "*-*~01 12:00:00", "Sat,Thu,Mon..Wed *-2,4,8-1/3 0/5:30:10.5", "weekly", "2030-02-29 10:00", "*:0/15 UTC"),
    *(
        "FREQ=DAILY;COUNT=3",
        "RRULE:FREQ=MONTHLY;BYDAY=2FR;UNTIL=20301231T000000Z",
        "DTSTART:20240101T090000\nRRULE:FREQ=WEEKLY;BYDAY=MO,WE",
    ),
    *("FREQ=YEARLY;BYMONTH=13", "FREQ=SECONDLY;INTERVAL=0", "FREQ=YEARLY;BYYEARDAY=-1,366;BYSETPOS=-1;INTERVAL=4"),
)
ALPHABET = "0123456789" * 3 + "*/-,LW#?H~@() .:;=\n\t" + "MONTUEFRISATJANcronateyveUTCFREQZ" + "é–\u0000\u00a0٣’😀"
PIECES = (
    "*",
    "*/5",
    "59",
    "1-5",
    "MON",
    "L",
    "?",
    "#3",
    "W",
    ",",
    "-",
    "/0",
    "..",
    "~",
    " ",
    "99999999999999999999",
    "()",
    "@",
    "2030",
    "-1",
)
ZONES = ("UTC", "America/New_York", "Europe/Berlin", "Australia/Lord_Howe", "Africa/Casablanca", "Asia/Kolkata", "Pacific/Apia")
STARTS_US = (0, 1_711_846_740_000_001, 4_102_444_800_000_000)
"""1970; a minute before a transition of Berlin's in 2024; 2100."""
LONGEST = 20_000
LIMIT_NS = 5_000_000


@dataclass(slots=True)
class Findings:
    """What became of the texts: how many were taken and refused, what broke a law, and the slowest answers."""

    counts: Counter[str] = field(default_factory=Counter)
    broken: list[str] = field(default_factory=list)
    slowest: list[tuple[int, str, str]] = field(default_factory=list)

    def timed(self, timings: dict[str, int], text: str) -> None:
        what, took_ns = max(timings.items(), key=lambda one: one[1])
        if took_ns > LIMIT_NS / 5:
            self.slowest = sorted([*self.slowest, (took_ns, what, text)], reverse=True)[:20]

    @property
    def too_slow(self) -> list[str]:
        return [f"{took_ns / 1e6:.1f} ms, {what}: {text!r}" for took_ns, what, text in self.slowest if took_ns > LIMIT_NS]


def texts(count: int, seed: int) -> Iterator[str]:
    """`count` texts: one in five is random, the others are expressions with one change or with several."""
    chance = random.Random(seed)
    for _ in range(count):
        if chance.random() < 0.2:
            yield "".join(chance.choices(ALPHABET, k=chance.randrange(0, 40)))
            continue
        text = chance.choice(SEEDS)
        for _ in range(chance.choice((1, 1, 1, 2, 3))):
            text = _mutated(text, chance)[:LONGEST]
        yield text


def _mutated(text: str, chance: random.Random) -> str:
    at, end = sorted((chance.randrange(len(text) + 1), chance.randrange(len(text) + 1)))
    match chance.randrange(11):
        case 0:
            return text[:at] + text[at + 1 :]
        case 1:
            return text[:at] + chance.choice(ALPHABET) + text[at:]
        case 2:
            return text[:at] + chance.choice(ALPHABET) + text[at + 1 :]
        case 3:
            return text[:at] + chance.choice(PIECES) + text[at:]
        case 4:
            return text[:at] + text[at:end] * chance.choice((2, 3, 50)) + text[end:]
        case 5:
            return text[:at] + text[end:]
        case 6:
            return text[:at] + str(chance.randrange(100)) + text[end:]
        case 7 | 8 | 9:
            return re.sub("[0-9]+", lambda digits: str(chance.randrange(32)) if chance.random() < 0.4 else digits[0], text)
        case _:
            other = chance.choice(SEEDS)
            return text[:at] + other[chance.randrange(len(other) + 1) :]


def judge(text: str, zone: str, findings: Findings) -> None:
    """Hold one text to the laws: taken, or refused with a message and nothing else; then each next time is later.

    What takes too long is timed again, afresh: a pause of the collector or of the machine does not come twice.
    """
    timings = _judge(text, zone, findings)
    for _ in range(2):
        if max(timings.values()) <= LIMIT_NS:
            break
        recognition._recognise_cached.cache_clear()
        compilation._compile.cache_clear()
        again = _judge(text, zone, Findings())
        timings = {what: min(took_ns, again.get(what, took_ns)) for what, took_ns in timings.items()}
    findings.timed(timings, text)


def _judge(text: str, zone: str, findings: Findings) -> dict[str, int]:
    """Nanoseconds of processor time of each step; what breaks a law goes into the findings."""
    started_ns = process_time_ns()
    try:
        rule = compile_when(When(triggers=(Expression(text=text),), time_zone=zone), created_us=STARTS_US[0], seed=7)
    except ExpressionError as error:
        took_ns = process_time_ns() - started_ns
        findings.counts["refused"] += 1
        if not error.reason or not described(error).startswith(error.part):
            findings.broken.append(f"no message: {text!r}")
        return {"refused": took_ns}
    except Exception as error:  # noqa: BLE001 - whatever else it is, is what is looked for
        findings.broken.append(f"{type(error).__name__} {error}: {text!r}")
        return {"broken": 0}
    findings.counts["taken"] += 1
    return {"taken": process_time_ns() - started_ns, **_walk(text, rule, findings)}


def _walk(text: str, rule: Rule, findings: Findings) -> dict[str, int]:
    timings: dict[str, int] = {}
    for start_us in STARTS_US:
        started_ns = process_time_ns()
        try:
            found_us = rule.next_after(start_us)
        except Exception as error:  # noqa: BLE001 - as above
            findings.broken.append(f"next_after {type(error).__name__} {error}: {text!r}")
            break
        timings[f"next_after {start_us}"] = process_time_ns() - started_ns
        if found_us is not None and found_us <= start_us:
            findings.broken.append(f"not later: {text!r}")
    return timings
