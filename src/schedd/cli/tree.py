"""The tree of schedctl's commands. The lines here are all that `schedctl --help` loads."""

from __future__ import annotations

from schedd.cli.commanding import DefaultGroup, Late, LateGroup

_ROOM = "schedd.cli.commands"

_APPLY = "Create and update schedules from files."
_CREATE = "Create one schedule from the command line."
_LIST = "List schedules: what runs next, and how the last run went."
_GET = "Show a schedule."
_UPDATE = "Change some fields of a schedule."
_DELETE = "Delete schedules."
_UNDELETE = "Restore deleted schedules."
_PAUSE = "Pause schedules, with a reason."
_RESUME = "Resume paused schedules."
_TRIGGER = "Run a schedule now."
_BACKFILL = "Run the occurrences of a past range."
_NEXT = "Show when a schedule fires next."
_EXPLAIN = "Say why a schedule ran, or did not, or will not."
_WATCH = "Stream executions as they happen."
_LOGS = "Show the output of a schedule's executions."


def _group(name: str, help: str, commands: list[Late], examples: str = "", kind: type[LateGroup] = LateGroup) -> LateGroup:
    made = kind(name, help=help, commands=commands, no_args_is_help=True)
    made.examples = examples
    return made


backfill = _group(
    "backfill",
    _BACKFILL,
    [
        Late("start", f"{_ROOM}.backfills:start", "Run the occurrences of a past range; `backfill NAME` is the same."),
        Late("list", f"{_ROOM}.backfills:list_backfills", "List backfills, newest first."),
        Late("get", f"{_ROOM}.backfills:get", "Show a backfill and its progress."),
        Late("cancel", f"{_ROOM}.backfills:cancel", "End backfills; what has started runs on."),
    ],
    examples="""
schedctl backfill nightly-report --from 2026-01-01T00:00:00Z --to 2026-02-01T00:00:00Z --wait
schedctl backfill list
schedctl backfill cancel 01j9zq4w8k2mn
""",
    kind=DefaultGroup,
)

schedule = _group(
    "schedule",
    "Create, change and look at schedules.",
    [
        Late("create", f"{_ROOM}.create:create", _CREATE),
        Late("apply", f"{_ROOM}.apply:apply", _APPLY),
        Late("get", f"{_ROOM}.schedules:get", _GET),
        Late("list", f"{_ROOM}.schedules:list_schedules", _LIST),
        Late("update", f"{_ROOM}.update:update", _UPDATE),
        Late("delete", f"{_ROOM}.change:delete", _DELETE),
        Late("undelete", f"{_ROOM}.change:undelete", _UNDELETE),
        Late("pause", f"{_ROOM}.change:pause", _PAUSE),
        Late("resume", f"{_ROOM}.change:resume", _RESUME),
        Late("trigger", f"{_ROOM}.trigger:trigger", _TRIGGER),
        Late("backfill", "schedd.cli.tree:backfill", _BACKFILL),
        Late("next", f"{_ROOM}.schedules:next_times", _NEXT),
        Late("explain", f"{_ROOM}.explain:explain", _EXPLAIN),
    ],
)

dead_letters = _group(
    "dead-letters",
    "Executions that failed for good: look, deliver again, remove.",
    [
        Late("list", f"{_ROOM}.deadletters:list_letters", "List dead letters, newest first."),
        Late("redeliver", f"{_ROOM}.deadletters:redeliver", "Deliver dead letters again."),
        Late("purge", f"{_ROOM}.deadletters:purge", "Remove dead letters; their executions stay."),
    ],
)

execution = _group(
    "execution",
    "Look at executions, follow and cancel them.",
    [
        Late("list", f"{_ROOM}.executions:list_executions", "List executions, newest first."),
        Late("get", f"{_ROOM}.executions:get", "Show an execution and its attempts."),
        Late("watch", f"{_ROOM}.watch:watch", _WATCH),
        Late("logs", f"{_ROOM}.logs:logs", _LOGS),
        Late("cancel", f"{_ROOM}.executions:cancel", "Cancel unfinished executions."),
        Late("redeliver", f"{_ROOM}.executions:redeliver", "Deliver finished executions again."),
        Late("dead-letters", "schedd.cli.tree:dead_letters", "Executions that failed for good."),
    ],
)

calendar = _group(
    "calendar",
    "Days and hours that schedules leave out, or keep to.",
    [
        Late("create", f"{_ROOM}.calendars:create", "Create a calendar."),
        Late("get", f"{_ROOM}.calendars:get", "Show a calendar, and which schedules use it."),
        Late("list", f"{_ROOM}.calendars:list_calendars", "List calendars."),
        Late("update", f"{_ROOM}.calendars:update", "Change a calendar."),
        Late("delete", f"{_ROOM}.calendars:delete", "Delete calendars that no schedule uses."),
        Late("import", f"{_ROOM}.calendars:import_file", "Make a calendar of an iCalendar file."),
    ],
)

cron = _group(
    "cron",
    "Read schedule expressions, without a server.",
    [
        Late("explain", f"{_ROOM}.cron:explain", "Say how an expression is read."),
        Late("next", f"{_ROOM}.cron:next_times", "Show when an expression fires."),
    ],
)

importing = _group(
    "import",
    "Move in: write crontabs and systemd timers as schedules files.",
    [
        Late("crontab", f"{_ROOM}.importing:crontab", "Write a crontab's lines as a schedules file."),
        Late("systemd", f"{_ROOM}.importing:systemd", "Write systemd timers as a schedules file."),
    ],
)

server = _group(
    "server",
    "Look at the daemon itself.",
    [
        Late("status", f"{_ROOM}.server:status", "Show how the daemon is doing."),
        Late("health", f"{_ROOM}.server:health", "Ask whether the daemon serves."),
        Late("journal", f"{_ROOM}.server:journal", "Show what was decided and changed, by whom and why."),
        Late("version", f"{_ROOM}.server:version", "Show schedctl's version and the daemon's."),
    ],
)

context = _group(
    "context",
    "Name servers, and choose the one to talk to.",
    [
        Late("list", f"{_ROOM}.contexts:list_contexts", "List the named servers."),
        Late("use", f"{_ROOM}.contexts:use", "Choose the server for the commands to come."),
        Late("add", f"{_ROOM}.contexts:add", "Name a server."),
        Late("remove", f"{_ROOM}.contexts:remove", "Forget a named server."),
    ],
)

_EVERYDAY = "Everyday commands"
_SUBJECTS = "Everything, by subject"

schedctl = _group(
    "schedctl",
    "Talk to schedd, the scheduling daemon.",
    [
        Late("apply", f"{_ROOM}.apply:apply", _APPLY, _EVERYDAY),
        Late("list", f"{_ROOM}.schedules:list_schedules", _LIST, _EVERYDAY),
        Late("get", f"{_ROOM}.schedules:get", _GET, _EVERYDAY),
        Late("next", f"{_ROOM}.schedules:next_times", _NEXT, _EVERYDAY),
        Late("explain", f"{_ROOM}.explain:explain", _EXPLAIN, _EVERYDAY),
        Late("watch", f"{_ROOM}.watch:watch", _WATCH, _EVERYDAY),
        Late("logs", f"{_ROOM}.logs:logs", _LOGS, _EVERYDAY),
        Late("trigger", f"{_ROOM}.trigger:trigger", _TRIGGER, _EVERYDAY),
        Late("backfill", "schedd.cli.tree:backfill", _BACKFILL, _EVERYDAY),
        Late("pause", f"{_ROOM}.change:pause", _PAUSE, _EVERYDAY),
        Late("resume", f"{_ROOM}.change:resume", _RESUME, _EVERYDAY),
        Late("delete", f"{_ROOM}.change:delete", _DELETE, _EVERYDAY),
        Late("schedule", "schedd.cli.tree:schedule", "Schedules: create, change, look.", _SUBJECTS),
        Late("execution", "schedd.cli.tree:execution", "Executions: look, follow, cancel.", _SUBJECTS),
        Late("calendar", "schedd.cli.tree:calendar", "Calendars: create, change, look, import.", _SUBJECTS),
        Late("cron", "schedd.cli.tree:cron", "Expressions, read without a server.", _SUBJECTS),
        Late("simulate", f"{_ROOM}.simulate:simulate", "Run schedules files ahead of time: fires, load, offsets.", _SUBJECTS),
        Late("import", "schedd.cli.tree:importing", "Moving in from cron and systemd timers.", _SUBJECTS),
        Late("server", "schedd.cli.tree:server", "The daemon itself: status, health, journal, version.", _SUBJECTS),
        Late("context", "schedd.cli.tree:context", "Named servers.", _SUBJECTS),
        Late("completion", f"{_ROOM}.completion:completion", "Print a completion script for bash, zsh or fish.", _SUBJECTS),
    ],
    examples="""
schedctl apply -f schedules.yaml
schedctl list
schedctl watch
schedctl trigger nightly-backup --wait
schedctl logs nightly-backup
""",
)
