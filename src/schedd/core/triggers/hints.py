"""What would be right, for the mistakes that people make most: a hint ends an error; what stands in its backticks can be used as it is."""

from __future__ import annotations

import re
from difflib import get_close_matches
from typing import Final

_UNITS: Final = {
    **dict.fromkeys(("s", "sec", "secs", "second", "seconds"), "s"),
    **dict.fromkeys(("m", "min", "mins", "minute", "minutes"), "m"),
    **dict.fromkeys(("h", "hr", "hrs", "hour", "hours"), "h"),
    **dict.fromkeys(("d", "day", "days"), "d"),
    **dict.fromkeys(("w", "week", "weeks"), "w"),
}
_SPOKEN: Final = re.compile(r"@?(?:every|each)\s+(?:(?P<count>[0-9]{1,6}|other)\s*)?(?P<unit>[a-z]+)", re.IGNORECASE)
_COMPLETION: Final = re.compile(r"after\s+(?:each\s+|every\s+)?completion", re.IGNORECASE)
_SPAN: Final = re.compile(r"(?P<count>[0-9]{1,6})\s*(?P<unit>[a-z]+)", re.IGNORECASE)
_ISO_SPAN: Final = re.compile(r"P(?:T(?P<time>[0-9]{1,6}[HMS])|(?P<date>[0-9]{1,6}[DW]))", re.IGNORECASE)
_HALF_DAY: Final = re.compile(r"(?:at\s+)?(?P<hour>1[0-2]|[1-9])(?::(?P<minute>[0-5][0-9]))?\s*(?P<half>[ap])\.?m\.?", re.IGNORECASE)
_ZONE_FIRST: Final = re.compile(r"(?:CRON_)?TZ=(?P<zone>\S+)\s+(?P<rest>.+)", re.DOTALL)
_PLACE: Final = re.compile(r"[A-Z][A-Za-z]+/[A-Z][A-Za-z_/+-]+|UTC|GMT")
_FIELD: Final = re.compile(r"[0-9*?,/#~()A-Z-]+")
_LONGEST_MACRO: Final = 16
_QUOTES: Final = "\"'`“”‘’«»"
_DASHES: Final = "‐‑‒–—−"


def spoken(text: str) -> str:
    """The hint for a text that is no expression but says when: `every 5 minutes`, `PT5M`, `9am`; empty for any other."""
    plain = text.strip()
    if _COMPLETION.search(plain):
        return "a delay after completion is a trigger of its own: after_completion"
    if (match := _SPOKEN.fullmatch(plain)) is not None and (unit := _UNITS.get(match["unit"].lower())) is not None:
        count = {"other": "2"}.get((match["count"] or "1").lower(), match["count"] or "1")
        return f"write `every {count}{unit}`"
    if (match := _SPAN.fullmatch(plain)) is not None and (unit := _UNITS.get(match["unit"].lower())) is not None:
        return f"write `every {match['count']}{unit}`"
    if (match := _ISO_SPAN.fullmatch(plain)) is not None:
        return f"write `every {(match['time'] or match['date']).lower()}`"
    if (match := _HALF_DAY.fullmatch(plain)) is not None:
        hour = int(match["hour"]) % 12 + (12 if match["half"].lower() == "p" else 0)
        return f"write `{int(match['minute'] or 0)} {hour} * * *`"
    return ""


def missing_field(text: str, count: int) -> str:
    """The hint for an expression whose fields are too few or too many."""
    if (hint := spoken(text)) != "":
        return hint
    if count == 4 and all(_FIELD.fullmatch(field) for field in text.split()):
        return f"one is missing; with any day of the week it is `{text.strip()} *`"
    return "`30 4 * * 1-5` is 04:30 from Monday to Friday"


def stray(item: str, text: str) -> str:
    """The hint for a piece that is no item of any field: quotation marks, typographic dashes, a zone, a command; empty for any other."""
    if (match := _ZONE_FIRST.fullmatch(text.strip())) is not None:
        return f"the zone stands beside the expression: `{match['rest'].strip()}` with the time zone {match['zone']}"
    if any(mark in item for mark in _QUOTES):
        bare = text.strip().translate({ord(mark): None for mark in _QUOTES})
        return f"without the quotation marks: `{bare}`"
    if any(dash in item for dash in _DASHES):
        plain = text.strip().translate({ord(dash): "-" for dash in _DASHES})
        return f"with a plain hyphen: `{plain}`"
    if _PLACE.fullmatch(item):
        return "the zone stands beside the expression, as the time zone"
    if item.startswith(("/", "./", "~/")) and len(item) > 1 and not item[1:2].isdigit():
        return "the command stands beside the expression, as the target"
    return ""


def beyond(field: str, value: str, high: int) -> str:
    """The hint for a number that a field does not reach to; empty where there is none."""
    number = int(value) if len(value) <= 9 else 0
    match field:
        case "second" | "minute" if number == 60:
            return f"the {field} after 59 is 0 again: write `0`"
        case "second" | "minute" if number > 60:
            return f"an interval as long as that is `@every {number}{field[0]}`"
        case "hour" if number == 24:
            return "midnight is hour 0: write `0`"
        case "hour" if 24 < number < 1_000_000:
            return f"an interval as long as that is `@every {number}h`"
        case "day of month" if number > high:
            return "`L` is the last day of the month"
        case "day of month" | "month" if number == 0:
            return "the first is `1`"
        case "day of week" if number == 8:
            return "Sunday is `0` or `7`"
        case "day of week" if len(value) == 4:
            return "a year is the seventh field, after seconds: `0 30 4 1 1 * 2030`"
        case _:
            return ""


def macro(name: str, known: tuple[str, ...]) -> str:
    """The hint for a word with an `@` that is no macro."""
    if (hint := spoken(name)) != "":
        return hint
    near = get_close_matches(name[:_LONGEST_MACRO].lower(), known, 1, 0.75)
    return f"did you mean `{near[0]}`?" if near else f"one of {', '.join(known)}, @every 5m"


def six_fields(fields: tuple[str, ...]) -> str:
    """The hint for six fields that are in EventBridge's order or end with a year: what each reading is written as."""
    minute, hour, day, month, week, year = fields
    if "?" in (day, week):
        return f"write `cron({' '.join(fields)})`"
    if day == "*":
        eventbridge = (minute, hour, "?", month, week, year) if week != "*" else (minute, hour, "*", month, "?", year)
    else:
        eventbridge = (minute, hour, day, month, "?", year)
    if year[:1].isdigit():
        return f"with a year there are seven, seconds first: `0 {' '.join(fields)}`; EventBridge's six are `cron({' '.join(eventbridge)})`"
    return f"write `cron({' '.join(eventbridge)})`, or with seconds first `0 {' '.join(fields[:5])}`"


def eventbridge_days(fields: tuple[str, ...]) -> str:
    """The hint for EventBridge's six fields of which not exactly one day field is `?`."""
    minute, hour, day, month, week, year = fields
    if day == "?":
        return f"write `cron({minute} {hour} * {month} ? {year})` for each day"
    if day == "*" and week != "*":
        return f"write `cron({minute} {hour} ? {month} {week} {year})`"
    return f"write `cron({minute} {hour} {day} {month} ? {year})`"


def eventbridge_count(fields: tuple[str, ...]) -> str:
    """The hint for a `cron(…)` that does not have six fields."""
    if len(fields) == 5:
        minute, hour, day, month, week = fields
        day, week = ("?", week) if day == "*" and week != "*" else (day, "?")
        plain = " ".join(fields)
        return f"with a year and one `?` it is `cron({minute} {hour} {day} {month} {week} *)`; cron's five fields stand alone: `{plain}`"
    return "`cron(0 10 ? * MON-FRI *)` is 10:00 from Monday to Friday"
