"""Triggers in plain English: what the sentence says is what the rule does."""

from __future__ import annotations

from datetime import timedelta

import pytest

from schedd.core.errors import ExpressionError
from schedd.core.model.when import AfterCompletion, Cron, DayMatch, Expression, Interval, OnCalendar, Once, Recurrence, When
from schedd.core.triggers import Dialect, compile_when, dialect_of, notes, sentence
from tests.core.triggers.fuzzing import texts


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("30 4 * * 1-5", "At 04:30, Monday to Friday"),
        ("* * * * *", "Every minute"),
        ("0 * * * *", "At minute 0 of every hour"),
        ("*/15 * * * *", "Every 15 minutes"),
        ("5/15 * * * *", "Every 15 minutes from minute 5 to 50 of every hour"),
        ("*/7 * * * *", "Every 7 minutes from minute 0 to 56 of every hour"),
        ("*/7 9-17 * * *", "Every 7 minutes from minute 0 to 56 of the hours 09 to 17"),
        ("0 9-17 * * 1-5", "Every hour from 09:00 to 17:00, Monday to Friday"),
        ("*/15 9-17 * * MON-FRI", "Every 15 minutes from 09:00 to 17:45, Monday to Friday"),
        ("0 */6 * * *", "At 00:00, 06:00, 12:00 and 18:00, every day"),
        ("0 */2 * * *", "At minute 0 of every 2nd hour"),
        ("0 1-23/2 * * *", "At minute 0 of every 2nd hour from 01 to 23"),
        ("5,7,10-20 9-17 * * *", "At minutes 5, 7 and 10 to 20 of the hours 09 to 17"),
        ("* 4 * * *", "Every minute from 04:00 to 04:59"),
        ("0 0 1,15 * *", "At 00:00, on the 1st and the 15th of the month"),
        ("0 0 */2 * *", "At 00:00, on every 2nd day from the 1st to the 31st of the month"),
        ("0 0 L * *", "At 00:00, on the last day of the month"),
        ("0 0 L-3 2 *", "At 00:00, on the 3rd day before the last of February"),
        ("0 0 LW * *", "At 00:00, on the last Monday-to-Friday day of the month"),
        ("0 0 15W * *", "At 00:00, on the Monday-to-Friday day nearest the 15th of the month"),
        ("0 0 * * FRI#2", "At 00:00, on the second Friday of the month"),
        ("0 0 * 3 5L", "At 00:00, on the last Friday of the month, in March"),
        ("0 0 13 * 5", "At 00:00, on the 13th of the month or on Friday"),
        ("0 0 1,15 6 1,3", "At 00:00, on the 1st and the 15th of the month or on Monday and Wednesday, in June"),
        ("0 16 */2 * sat", "At 16:00, on every 2nd day from the 1st to the 31st of the month if that is Saturday"),
        ("0 0 1-31 * 1", "At 00:00, every day"),
        ("0 0 * * Fri-Mon", "At 00:00, Friday to Monday"),
        ("0 0 * * 0,6", "At 00:00, on Saturday and Sunday"),
        ("0 0 * * 0,1,3", "At 00:00, on Monday, Wednesday and Sunday"),
        ("0 0 1 */3 *", "At 00:00, on the 1st of January, April, July and October"),
        ("0 0 * 3 *", "At 00:00, every day, in March"),
        ("15 30 4 * * *", "At 04:30:15, every day"),
        ("*/10 * * * * *", "Every 10 seconds"),
        ("15 * * * * *", "At second 15 of every minute"),
        ("30 */5 9-17 * * *", "At second 30 of every 5th minute of the hours 09 to 17"),
        ("0 0 9 1 1 * 2030-2035,2040", "At 09:00, on the 1st of January, in 2030 to 2035 and 2040"),
        ("@daily", "At 00:00, every day"),
        ("cron(0 10 ? * MON-FRI *)", "At 10:00, Monday to Friday"),
        ("cron(0/5 8-17 ? * 2-6 *)", "Every 5 minutes from 08:00 to 17:55, Monday to Friday"),
        ("cron(15 12 L * ? 2026)", "At 12:15, on the last day of the month, in 2026"),
        ("at(2030-01-31T09:00:00)", "Once, on Thu 2030-01-31 at 09:00:00"),
        ("Mon..Fri *-*-* 09:00", "At 09:00, Monday to Friday"),
        ("weekly", "At 00:00, on Monday"),
        ("*-05~07/1", "At 00:00, on the last 7 days of May"),
        ("*-*-* *:*:0.25", "At second 0.25 of every minute"),
        ("*-*-* 9:0/30:0/20.5", "At every 20.5 seconds from 0 to 41 of minutes 0 and 30 of hour 09"),
        ("FREQ=DAILY;COUNT=3", "Every day, 3 times"),
        ("FREQ=MONTHLY;BYDAY=2FR,-1MO", "Every month, on the last Monday of the month and the 2nd Friday of the month"),
        ("FREQ=MONTHLY;BYDAY=MO,1FR", "Every month, on Monday and the 1st Friday of the month"),
        ("FREQ=WEEKLY;INTERVAL=2;BYDAY=MO,TU,WE;BYHOUR=9,17", "Every 2 weeks, on Monday to Wednesday, at hours 9 and 17"),
        ("FREQ=WEEKLY;INTERVAL=2;WKST=SU", "Every 2 weeks, weeks beginning on Sunday"),
        ("FREQ=DAILY;BYHOUR=9,17;BYMINUTE=30", "Every day, at 09:30 and 17:30"),
        ("FREQ=DAILY;BYHOUR=9;BYMINUTE=0;BYSECOND=0,30", "Every day, at 09:00:00 and 09:00:30"),
        (
            "FREQ=YEARLY;BYMONTH=1,3;BYDAY=SU;BYSETPOS=-1",
            "Every year, in January and March, on Sunday, of these only the last of each year",
        ),
        ("FREQ=YEARLY;BYDAY=20MO", "Every year, on the 20th Monday of the year"),
        ("FREQ=YEARLY;BYWEEKNO=1,20;BYDAY=MO", "Every year, in the 1st and 20th week of the year, on Monday"),
        ("FREQ=YEARLY;BYYEARDAY=-1,100", "Every year, on the 100th and last day of the year"),
        (
            "FREQ=MONTHLY;BYMONTHDAY=-3,1;UNTIL=20301231T000000Z",
            "Every month, on the 1st and 3rd last day of the month, until Tue 2030-12-31 00:00:00 UTC",
        ),
        (
            "DTSTART:20240101T090000\nRRULE:FREQ=WEEKLY\nEXDATE:20240108T090000\nRDATE:20240109T090000",
            "Every week, also on Tue 2024-01-09 09:00:00, except on Mon 2024-01-08 09:00:00, from Mon 2024-01-01 09:00:00 on",
        ),
        (
            "DTSTART;VALUE=DATE:20240101 RRULE:FREQ=MONTHLY RRULE:FREQ=DAILY;COUNT=2",
            "Every month, or every day, 2 times, from Mon 2024-01-01 on",
        ),
        ("RDATE:20300101T090000,20300102T090000", "On Tue 2030-01-01 09:00:00 and Wed 2030-01-02 09:00:00"),
        ("DTSTART:20300101T090000", "Once, on Tue 2030-01-01 09:00:00"),
        ("RDATE:20300101T000000,20300102T000000,20300103T000000,20300104T000000", "On 4 dates"),
    ],
)
def test_local_rule_is_told_with_its_zone(text: str, said: str) -> None:
    assert sentence(Expression(text=text), "Europe/Berlin") == f"{said}, in Europe/Berlin"


@pytest.mark.parametrize(
    ("trigger", "said"),
    [
        (Expression(text="rate(1 day)"), "Every day, counted from the schedule's start or its creation"),
        (Expression(text="every 1h30m"), "Every 1 hour 30 minutes, counted from the schedule's creation"),
        (
            Interval(every=timedelta(milliseconds=1, microseconds=5), anchor_us=0),
            "Every 1 millisecond 5 microseconds, counted from Thu 1970-01-01 at 00:00:00 UTC",
        ),
        (AfterCompletion(delay=timedelta(minutes=5)), "5 minutes after each completion"),
        (Expression(text="2030-01-31T09:00:00.5Z"), "Once, on Thu 2030-01-31 at 09:00:00.5 UTC"),
        (Once(times_us=(0, 1_000_000)), "On Thu 1970-01-01 at 00:00:00 UTC and Thu 1970-01-01 at 00:00:01 UTC"),
        (
            Once(times_us=tuple(range(0, 5_000_000, 1_000_000))),
            "At 5 instants, from Thu 1970-01-01 at 00:00:00 UTC to Thu 1970-01-01 at 00:00:04 UTC",
        ),
        (Expression(text="@reboot"), "Once at each start of the daemon"),
    ],
)
def test_instants_and_intervals_are_told_without_a_zone(trigger: Expression | Interval | Once, said: str) -> None:
    assert sentence(trigger, "Europe/Berlin") == said


def test_zone_that_a_rule_names_is_told() -> None:
    assert sentence(Expression(text="*:0/15 America/New_York"), "Europe/Berlin") == "Every 15 minutes, in America/New_York"
    text = "DTSTART;TZID=America/New_York:20240101T090000 RRULE:FREQ=DAILY EXDATE;TZID=Asia/Tokyo:20240105T230000"
    said = "Every day, except on Fri 2024-01-05 23:00:00 Asia/Tokyo, from Mon 2024-01-01 09:00:00 on, in America/New_York"
    assert sentence(Expression(text=text), "UTC") == said
    assert sentence(Expression(text="DTSTART:20240101T090000Z RRULE:FREQ=DAILY"), "Asia/Tokyo") == (
        "Every day, from Mon 2024-01-01 09:00:00 on, in UTC"
    )


def test_day_match_changes_the_sentence_as_it_changes_the_rule() -> None:
    assert (
        sentence(Cron(text="0 0 13 * 5", day_match=DayMatch.AND), "UTC") == "At 00:00, on the 13th of the month if that is Friday, in UTC"
    )


def test_rules_with_one_sentence_fire_at_the_same_times() -> None:
    """Whatever the sentence leaves out would show as two different rules of one sentence."""
    told: dict[str, tuple[str, list[int | None]]] = {}
    for text in texts(12_000, seed=3):
        try:
            trigger = Expression(text=text)
            rule = compile_when(When(triggers=(trigger,), time_zone="UTC"), created_us=0, seed=0)
            said = sentence(trigger, "UTC")
        except ExpressionError:
            continue
        starts = [0, 1_772_000_000_000_000, 1_790_000_000_000_000]
        found = [rule.next_after(start) for start in starts]
        while found[-1] is not None and len(found) < 40:
            found.append(rule.next_after(found[-1]))
        other, times = told.setdefault(said, (text, found))
        assert times == found, f"{said!r}: {other!r} and {text!r}"
    assert len(told) > 300


def test_both_day_fields_that_have_to_match_are_no_surprise() -> None:
    assert len(notes(Cron(text="0 0 1 * 1"))) == 1
    assert notes(Cron(text="0 0 1 * 1", day_match=DayMatch.AND)) == ()


@pytest.mark.parametrize(
    ("text", "dialect"),
    [
        ("* * * * *", Dialect.CRON5),
        ("* * * * * *", Dialect.CRON6),
        ("* * * * * * *", Dialect.CRON7),
        ("@daily", Dialect.MACRO),
        ("@reboot", Dialect.AT_START),
        ("cron(0 10 ? * MON-FRI *)", Dialect.EVENTBRIDGE_CRON),
        ("rate(5 minutes)", Dialect.EVENTBRIDGE_RATE),
        ("at(2030-01-31T09:00:00)", Dialect.EVENTBRIDGE_AT),
        ("@every 5m", Dialect.INTERVAL),
        ("2030-01-31T09:00:00Z", Dialect.INSTANT),
        ("2030-01-31T09:00:00", Dialect.INSTANT),
        ("Mon *-*-* 10:00", Dialect.ON_CALENDAR),
        ("FREQ=DAILY", Dialect.RECURRENCE),
    ],
)
def test_dialect_is_named(text: str, dialect: Dialect) -> None:
    assert dialect_of(Expression(text=text)) is dialect
    assert dialect.words


def test_dialect_of_a_structured_trigger_is_its_kind() -> None:
    assert dialect_of(Cron(text="0 0 * * * *")) is Dialect.CRON6
    assert dialect_of(Interval(every=timedelta(1))) is Dialect.INTERVAL
    assert dialect_of(AfterCompletion(delay=timedelta(1))) is Dialect.AFTER_COMPLETION
    assert dialect_of(OnCalendar(text="daily")) is Dialect.ON_CALENDAR
    assert dialect_of(Recurrence(text="FREQ=DAILY")) is Dialect.RECURRENCE


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("*/90 * * * *", "`@every 90m`"),
        ("0 */25 * * *", "`@every 25h`"),
        ("* 4 * * *", "60 runs; `0 4 …` is one"),
        ("0 0 13 * 5", "either is enough"),
        ("0 0 */2 * 5", "both day fields have to match"),
        ("0 0 12 ? * 2-6 *", "Sunday is 0 here"),
        ("H H * * *", "drawn for each schedule"),
    ],
)
def test_note_tells_what_is_easily_overlooked(text: str, said: str) -> None:
    [note] = notes(Expression(text=text))
    assert said in note


@pytest.mark.parametrize(
    "text", ["30 4 * * 1-5", "*/15 * * * *", "0 0 * * FRI#2", "0 0 12 ? * MON-FRI *", "rate(5 minutes)", "*/60 * * * *"]
)
def test_plain_expression_has_no_note(text: str) -> None:
    assert notes(Expression(text=text)) == ()
