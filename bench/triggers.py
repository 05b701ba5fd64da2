"""The next fire time of common rules: schedd beside croniter (one object, reused) and beside a bitmask written by hand for UTC alone.

Each side walks from one fire time to the next. Rounds alternate, processor time is counted, and the best round counts.
`python bench/triggers.py [--json FILE]`
"""

from __future__ import annotations

import argparse
import json
import statistics
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from time import process_time

from croniter import croniter

from schedd.core.model.when import Expression, When
from schedd.core.triggers import compile_when

START = datetime(2026, 1, 1, tzinfo=UTC)
START_S = int(START.timestamp())
RULES = (
    "* * * * *",
    "*/15 * * * *",
    "0 * * * *",
    "30 4 * * *",
    "30 4 * * 1-5",
    "*/10 9-17 * * 1-5",
    "0 0 1 * *",
    "0 0 1,15 * *",
    "15 10 * 1,6 0",
    "0 0 29 2 *",
)
DAY_S = 86_400


class Bitmask:
    """Five fields, UTC, no transitions, no bounds: the least that answers. Masks of minutes, hours and the days of each month."""

    def __init__(self, text: str) -> None:
        minute, hour, day, month, week = text.split()
        self.minutes = _mask(minute, 0, 59)
        self.hours = _mask(hour, 0, 23)
        self.days = _mask(day, 1, 31)
        self.months = _mask(month, 1, 12)
        self.week = _mask(week, 0, 6)
        self.either = "*" not in (day[0], week[0])

    def next_after(self, at_s: int) -> int:
        minute_number = at_s // 60 + 1
        day, minute_of_day = divmod(minute_number, 1440)
        if self._matches(day):
            hour, minute = divmod(minute_of_day, 60)
            rest = self.minutes >> minute if self.hours >> hour & 1 else 0
            if rest:
                return (minute_number + _low(rest)) * 60
            later = self.hours >> hour + 1
            if later:
                return (day * 1440 + (hour + 1 + _low(later)) * 60 + _low(self.minutes)) * 60
        day += 1
        while not self._matches(day):
            day += 1
        return (day * 1440 + _low(self.hours) * 60 + _low(self.minutes)) * 60

    def _matches(self, day: int) -> bool:
        date = datetime.fromtimestamp(day * DAY_S, UTC)
        if not self.months >> date.month & 1:
            return False
        by_day, by_week = self.days >> date.day & 1, self.week >> (day + 4) % 7 & 1
        return bool(by_day | by_week if self.either else by_day & by_week)


def _low(mask: int) -> int:
    return (mask & -mask).bit_length() - 1


def _mask(field: str, low: int, high: int) -> int:
    mask = 0
    for item in field.split(","):
        span, _, step = item.partition("/")
        first, _, last = (f"{low}-{high}" if span == "*" else span if "-" in span else f"{span}-{span}").partition("-")
        for value in range(int(first), int(last) + 1, int(step or 1)):
            mask |= 1 << value
    return mask


def schedd_walk(text: str, zone: str) -> Callable[[int], int]:
    next_after = compile_when(When(triggers=(Expression(text=text),), time_zone=zone), created_us=0, seed=0).next_after

    def walk(steps: int) -> int:
        at_us = START_S * 1_000_000
        for _ in range(steps):
            found = next_after(at_us)
            assert found is not None
            at_us = found
        return at_us // 1_000_000

    return walk


def bitmask_walk(text: str) -> Callable[[int], int]:
    next_after = Bitmask(text).next_after

    def walk(steps: int) -> int:
        at_s = START_S
        for _ in range(steps):
            at_s = next_after(at_s)
        return at_s

    return walk


def croniter_walk(text: str) -> Callable[[int], int]:
    def walk(steps: int) -> int:
        iterator = croniter(text, START)
        at_s = 0.0
        for _ in range(steps):
            at_s = iterator.get_next(float)
        return int(at_s)

    return walk


def measure(text: str, steps: int, rounds: int) -> dict[str, float]:
    """Microseconds of processor time a step, by side."""
    walks = {
        "schedd": schedd_walk(text, "UTC"),
        "schedd, Berlin": schedd_walk(text, "Europe/Berlin"),
        "bitmask": bitmask_walk(text),
        "croniter": croniter_walk(text),
    }
    steps = max(steps // 20, 20) if text.startswith("0 0 29") else steps
    assert walks["schedd"](steps) == walks["bitmask"](steps), text
    assert walks["schedd"](20) == walks["croniter"](20), text
    best = dict.fromkeys(walks, float("inf"))
    for _ in range(rounds):
        for side, walk in walks.items():
            count = max(steps // 10, 10) if side == "croniter" else steps
            started = process_time()
            walk(count)
            best[side] = min(best[side], (process_time() - started) / count * 1e6)
    return best


def main() -> None:
    parser = argparse.ArgumentParser(description="Next fire times, in microseconds of processor time a step")
    parser.add_argument("--steps", type=int, default=2000)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    found = {text: measure(text, options.steps, options.rounds) for text in RULES}
    print(f"{'µs a step':<20}{'schedd':>8}{'Berlin':>8}{'bitmask':>9}{'croniter':>10}{'of bitmask':>12}{'of croniter':>13}")
    for text, side in found.items():
        times = f"{side['schedd']:>8.2f}{side['schedd, Berlin']:>8.2f}{side['bitmask']:>9.2f}{side['croniter']:>10.1f}"
        print(f"{text:<20}{times}{side['schedd'] / side['bitmask']:>11.2f}x{side['croniter'] / side['schedd']:>12.0f}x")
    ratios = {
        "of the bitmask's time, median": statistics.median(side["schedd"] / side["bitmask"] for side in found.values()),
        "of the bitmask's time, most": max(side["schedd"] / side["bitmask"] for side in found.values()),
        "times as fast as croniter, median": statistics.median(side["croniter"] / side["schedd"] for side in found.values()),
        "times as fast as croniter, least": min(side["croniter"] / side["schedd"] for side in found.values()),
    }
    for name, ratio in ratios.items():
        print(f"{name:<40}{ratio:>8.2f}")
    if options.json:
        options.json.write_text(json.dumps({"us_a_step": found, "ratios": ratios}, indent=2) + "\n")


if __name__ == "__main__":
    main()
