from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from schedd.cli.failures import UsageFault
from schedd.cli.manifest import ManifestError, load_manifest, parse_manifest, read_part
from schedd.cli.plans import differences, owned
from schedd.v1.policy_pb2 import CatchUpMode, Overlap
from schedd.v1.schedule_pb2 import Schedule, ScheduleState

EXAMPLES = Path(__file__).parents[2] / "examples"


def _one(text: str) -> Schedule:
    return parse_manifest(text, "f.yaml")[0].schedule


def _faults(text: str) -> list[str]:
    with pytest.raises(ManifestError) as caught:
        parse_manifest(text, "f.yaml")
    return [str(fault) for fault in caught.value.faults]


def _with(lines: str) -> Schedule:
    return _one(f"name: a\nschedule: '@daily'\nprocess: {{argv: ['true']}}\n{lines}")


def test_follow_ups_are_names_urls_or_whole_targets() -> None:
    text = """
on_success: verify
on_failure: [ops/alarm, "https://example.com/hook", {schedule: verify}, {notify: {url: "http://x", body: {a: 1}}}]
"""
    policies = _with(text).policies
    assert [each.schedule for each in policies.on_success] == ["groups/default/schedules/verify"]
    assert [each.schedule or each.notify.url for each in policies.on_failure] == [
        "groups/ops/schedules/alarm",
        "https://example.com/hook",
        "groups/default/schedules/verify",
        "http://x",
    ]
    assert policies.on_failure[3].notify.payload.text == '{"a": 1}'


@pytest.mark.parametrize(
    ("value", "argv"),
    [
        ("{command: test -e /ready}", ["/bin/sh", "-c", "test -e /ready"]),
        ("{command: [test, -e, /ready]}", ["test", "-e", "/ready"]),
        ("{command: {argv: [x], success_exit_codes: [1]}, timeout: 3s}", ["x"]),
    ],
)
def test_command_of_a_condition_is_a_line_a_list_or_a_whole_target(value: str, argv: list[str]) -> None:
    assert list(_with(f"condition: {value}").policies.condition.command.argv) == argv


def test_days_of_a_condition_are_an_expression() -> None:
    assert _with("condition: {days: '0 0 * * 1-5'}").policies.condition.days.expression == "0 0 * * 1-5"


@pytest.mark.parametrize(
    ("value", "fault"),
    [("a/b/c/d", "is not a schedule's name"), ("{schedule: a, notify: {url: http://x}}", "cannot stand together"), ("[{}]", "")],
)
def test_follow_up_that_is_wrong_is_told_at_its_line(value: str, fault: str) -> None:
    text = f"name: a\nschedule: '@daily'\nprocess: {{argv: ['true']}}\non_failure: {value}\n"
    if not fault:
        assert len(_one(text).policies.on_failure) == 1  # What an empty one lacks, the server says.
        return
    (told,) = _faults(text)
    assert told.startswith("f.yaml:4: ")
    assert fault in told


def test_file_of_the_readme_means_what_it_says() -> None:
    tee, backup = (
        item.schedule
        for item in parse_manifest(
            """
schedules:
  - name: tee-time
    schedule: "0 6 * * *"
    time_zone: America/New_York
    http: {method: POST, url: https://example.com/x, body: {a: 1}}
  - name: ops/backup
    schedule: "30 2 * * *"
    process: {argv: [pg_dump, shop]}
    retry: {max_attempts: 5, min_backoff: 5s}
    timeout: 10m
    overlap: SKIP
    catch_up: LATEST
""",
            "f.yaml",
        )
    )

    assert tee.name == "groups/default/schedules/tee-time"
    assert tee.triggers[0].expression == "0 6 * * *"
    assert tee.target.http.payload.text == '{"a": 1}'
    assert backup.name == "groups/ops/schedules/backup"
    assert list(backup.target.process.argv) == ["pg_dump", "shop"]
    assert backup.policies.retry.min_backoff.ToTimedelta() == timedelta(seconds=5)
    assert backup.policies.attempt_timeout.ToTimedelta() == timedelta(minutes=10)
    assert backup.policies.overlap == Overlap.OVERLAP_SKIP
    assert backup.policies.catch_up.mode == CatchUpMode.CATCH_UP_MODE_LATEST


def test_every_fault_of_a_file_is_told_at_its_line() -> None:
    faults = _faults(
        """
schedules:
  - name: a
    schdule: "0 6 * * *"
    http: {method: POST, urll: https://x/y}
    timeout: 10 parsecs
    overlap: SKIPP
  - name: a
    every: 5s
    process: {argv: ls}
    retry: {max_attempts: five}
"""
    )

    assert [fault.partition(": ")[0] for fault in faults] == [f"f.yaml:{line}" for line in (4, 5, 6, 7, 8, 10, 11)]
    assert "did you mean 'schedule'?" in faults[0]
    assert "did you mean 'url'?" in faults[1]
    assert "parsecs" in faults[2]
    assert "did you mean 'SKIP'?" in faults[3]
    assert "there already, at f.yaml:3" in faults[4]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name: a\nschedule: '@daily'\n", "lacks a target"),
        ("name: a\nprocess: {argv: [x]}\n", "lacks a time"),
        ("schedule: '@daily'\nprocess: {argv: [x]}\n", "lacks 'name'"),
        ("name: a\nschedule: '@daily'\nprocess: {}\n", "lacks 'argv'"),
        ("name: a\nevery: 5s\nevery: 6s\nprocess: {argv: [x]}\n", "'every' twice"),
        ("name: a\nevery: 5s\nprocess: {argv: [x]}\nhttp: {url: http://x}\n", "cannot stand together with 'process'"),
        ("name: a/b/c\nevery: 5s\nprocess: {argv: [x]}\n", "not a schedule's name"),
        ("- name: [\n", "cannot be read"),
        ("just text", "has to be `schedules:`"),
        ("name: a\nevery: 5s\nprocess: {argv: [x]}\npriority: 99999999999\n", "out of range"),
        ("name: a\nevery: 5s\nhttp: {url: http://x, expected_status: [2x]}\n", "not a status code"),
        ("name: a\nat: tomorrow\nprocess: {argv: [x]}\n", "is not a time"),
        ("name: a\nevery: 5s\nhttp: &h {url: http://x, body: *h}\n", "nested deeper"),
    ],
)
def test_wrong_file_is_refused_with_what_is_wrong(text: str, message: str) -> None:
    assert any(message in fault for fault in _faults(text))


def test_text_stays_what_was_written_where_yaml_would_convert_it() -> None:
    schedule = _with("labels: {version: 1.10, country: no, day: 2026-12-24}")

    assert dict(schedule.labels) == {"version": "1.10", "country": "no", "day": "2026-12-24"}


def test_defaults_hold_unless_the_schedule_says_otherwise() -> None:
    text = """
defaults: {time_zone: America/New_York, retry: {max_attempts: 9}}
schedules:
  - {name: a, every: 5s, process: {argv: [x]}}
  - {name: b, every: 5s, process: {argv: [x]}, time_zone: UTC}
"""
    first, second = (item.schedule for item in parse_manifest(text, "f.yaml"))

    assert (first.time_zone, first.policies.retry.max_attempts) == ("America/New_York", 9)
    assert (second.time_zone, second.policies.retry.max_attempts) == ("UTC", 9)


def test_local_time_stays_local_and_an_offset_is_an_instant() -> None:
    local = _one("{name: a, at: 2026-12-24T09:00:00, time_zone: Europe/Berlin, process: {argv: [x]}}")
    fixed = _one("{name: a, at: '2026-12-24T09:00:00+01:00', process: {argv: [x]}}")
    bound = _with("time_zone: Europe/Berlin\nend_time: 2026-12-24T09:00:00")

    assert local.triggers[0].expression == "at(2026-12-24T09:00:00)"
    assert fixed.triggers[0].once.times[0].ToDatetime(UTC) == datetime(2026, 12, 24, 8, tzinfo=UTC)
    assert bound.end_time.ToDatetime(UTC) == datetime(2026, 12, 24, 8, tzinfo=UTC)


def test_shell_line_becomes_an_argv() -> None:
    schedule = _one("{name: a, every: 1h, process: {command: 'a | b', umask: '027'}}")

    assert list(schedule.target.process.argv) == ["/bin/sh", "-c", "a | b"]
    assert schedule.target.process.umask == 0o027


def test_json_with_tabs_is_read() -> None:
    text = '[\n\t{"name": "a", "every": "5s",\n\t "process": {"argv": ["x"]}}\n]'

    assert parse_manifest(text, "f.json")[0].schedule.name == "groups/default/schedules/a"


def test_several_documents_and_lists_are_joined() -> None:
    one = "{name: %s, every: 5s, process: {argv: [x]}}"
    text = f"{one % 'a'}\n---\n- {one % 'b'}\n- {one % 'c'}\n---\nschedules: [{one % 'd'}]\n"

    assert [item.schedule.name[-1] for item in parse_manifest(text, "f.yaml")] == ["a", "b", "c", "d"]


def test_server_path_leads_back_to_the_line_of_the_file() -> None:
    written = parse_manifest(
        "name: a\nschedule: '@daily'\nhttp:\n  url: http://x\n  headers: {A: b}\nretry:\n  max_attempts: 3\n", "f.yaml"
    )[0]

    assert written.place_of("triggers[0].expression").line == 2
    assert written.place_of("target.http.url").line == 4
    assert written.place_of("policies.retry.max_attempts").line == 7
    assert written.place_of("time_zone").line == 1


def test_directory_is_read_file_by_file(tmp_path: Path) -> None:
    for name in ("b.yaml", "a.yml", "c.json", "d.txt"):
        (tmp_path / name).write_text(f'{{"name": "{name[0]}", "every": "5s", "process": {{"argv": ["x"]}}}}')

    assert [item.schedule.name[-1] for item in load_manifest([str(tmp_path)])] == ["a", "b", "c"]


def test_directory_without_schedules_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageFault, match="has no file"):
        load_manifest([str(tmp_path)])


def test_examples_are_read() -> None:
    names = [item.schedule.name for item in load_manifest([str(EXAMPLES)])]

    assert len(names) == len(set(names)) >= 10


def test_file_in_the_examples_readme_is_read() -> None:
    text = (EXAMPLES / "README.md").read_text().split("```yaml\n")[1].split("```")[0]

    assert [item.schedule.name for item in parse_manifest(text, "f.yaml")] == [
        "groups/default/schedules/backup",
        "groups/default/schedules/metrics",
    ]


def test_part_of_a_schedule_names_the_fields_that_it_sets() -> None:
    part, mask = read_part("schedule: '@daily'\ntimeout: 30s\nhttp: {url: http://x}\nlabels: {a: b}", "UTC")

    assert mask == ["labels", "policies.attempt_timeout", "target", "triggers"]
    assert part.policies.attempt_timeout.ToTimedelta() == timedelta(seconds=30)


def test_what_the_server_prints_can_be_applied_again() -> None:
    schedule = _with("labels: {a: b}\nretry: {max_attempts: 3, jitter: 0}\ntimeout: 90s\nstart_time: 2026-01-01T00:00:00Z\npriority: 0")
    schedule.uid, schedule.generation, schedule.state = "x" * 13, 7, ScheduleState.SCHEDULE_STATE_PAUSED
    text = yaml.safe_dump({"name": schedule.name, "uid": schedule.uid, "state": "SCHEDULE_STATE_PAUSED", **owned(schedule)})

    assert differences(schedule, _one(text)) == []


def test_differences_leave_out_what_schedd_writes() -> None:
    before, after = _with("timeout: 1m"), _with("timeout: 2m")
    after.generation, after.etag = 9, "e"

    assert [str(item) for item in differences(before, after)] == ["policies.attempt_timeout: 60s → 120s"]


@given(st.text(max_size=60))
def test_any_text_is_read_or_refused_in_words(text: str) -> None:
    faults: tuple[object, ...] = ("none",)
    try:
        parse_manifest(text, "f.yaml")
    except ManifestError as error:
        faults = error.faults

    assert faults


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("name: a\nevery: 1m\nretries: 3", "f.yaml:3: retries: is not known here: it is called `retry`"),
        ("name: a\nevery: 1m\nenabled: false", "f.yaml:3: enabled: is not known here: a schedule is paused and resumed by"),
        ("name: a\nevery: 1m\ncommand: echo", "f.yaml:3: command: is not known here: it belongs below `process`"),
        ("name: a\nevery: 1m\nurl: http://x/", "f.yaml:3: url: is not known here: it belongs below `http`"),
        (
            "name: a\nevery: 1m\nprocess:\n  argv: [x]\n  timeout: 3s",
            "f.yaml:5: process.timeout: is not known here: it belongs to the schedule, beside `process`",
        ),
        ("schedules:\n  a: {every: 1m}", "f.yaml:2: schedules: has to be a list: begin each schedule with a dash"),
    ],
)
def test_key_in_the_wrong_place_is_told_where_it_belongs(text: str, said: str) -> None:
    assert any(fault.startswith(said) for fault in _faults(text))
