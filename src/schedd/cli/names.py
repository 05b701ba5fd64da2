"""Names as people type them, and as the API has them."""

from __future__ import annotations

from schedd.cli.failures import UsageFault

DEFAULT_GROUP = "default"


def schedule_name(text: str) -> str:
    """The resource name that `nightly-backup`, `ops/nightly-backup` or a whole resource name means. Raises: UsageFault."""
    parts = text.split("/")
    match parts:
        case [schedule] if schedule:
            return f"groups/{DEFAULT_GROUP}/schedules/{schedule}"
        case [group, schedule] if group and schedule:
            return f"groups/{group}/schedules/{schedule}"
        case ["groups", group, "schedules", schedule] if group and schedule:
            return text
        case _:
            raise UsageFault(f"{text!r} is not a schedule's name: write NAME, GROUP/NAME or groups/GROUP/schedules/NAME")


def calendar_name(text: str) -> str:
    """The resource name that a calendar's name, or its whole resource name, means. Raises: UsageFault."""
    name = text.removeprefix("calendars/")
    if not name or "/" in name:
        raise UsageFault(f"{text!r} is not a calendar's name: write NAME or calendars/NAME")
    return f"calendars/{name}"


def short_name(resource: str) -> str:
    """The shortest form that means the schedule of a resource name (of a schedule, or of something below it)."""
    match resource.split("/"):
        case ["groups", group, "schedules", schedule, *_]:
            return schedule if group == DEFAULT_GROUP else f"{group}/{schedule}"
        case _:
            return resource


def group_parent(text: str) -> str:
    """The resource name of a group; `-` and the empty text mean all of them."""
    return text if text.startswith("groups/") else f"groups/{text or '-'}"


def backfill_name(text: str) -> str:
    """The resource name that a backfill's id, or its whole name, means."""
    return text if text.startswith("groups/") else f"groups/-/schedules/-/backfills/{text}"


def execution_name(text: str) -> str:
    """The resource name that an execution's id, or its whole name, means."""
    return text if text.startswith("groups/") else f"groups/-/schedules/-/executions/{text}"
