"""The database file: opening, migrating, refusing, surviving, and rows that cannot be read."""

from __future__ import annotations

import asyncio
import sqlite3
import stat
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from schedd.core.errors import AlreadyExistsError, ConflictError, NotFoundError, StoredDataError, UnavailableError
from schedd.core.model.batch import RequestMark, Retention, UnreadableDeletion
from schedd.core.model.execution import ExecutionState
from schedd.core.model.journal import JournalEntry, JournalKind
from schedd.core.model.query import Comparison, Operator, PageRequest
from schedd.core.model.unreadable import UnreadableSchedule
from schedd.core.model.zonemark import ZoneMark
from schedd.store import database, search
from schedd.store.sqlite import SqliteStore
from schedd.store.writer import Writer
from tests.conformance.store import BY_NAME, armed, changed, create, draft, entry_of, execution, names


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "schedd.db"


@pytest.fixture
async def store(path: Path) -> AsyncIterator[SqliteStore]:
    store = await SqliteStore.open(path)
    yield store
    await store.aclose()


def tamper(path: Path, statement: str) -> None:
    """Change the database behind the store's back."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute(statement)


async def refusal(path: Path) -> UnavailableError:
    """How a store refuses to open."""
    with pytest.raises(UnavailableError) as caught:
        await SqliteStore.open(path)
    return caught.value


async def test_open_of_a_new_file_makes_it_readable_by_its_owner_only(store: SqliteStore, path: Path) -> None:
    await create(store, draft(1))
    files = [path, *path.parent.glob("schedd.db-*")]
    assert len(files) == 3
    assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}


def test_open_where_no_write_ahead_log_can_be_kept_is_refused(path: Path) -> None:
    without_shared_memory = f"file:{path}?vfs=unix-dotfile"
    with closing(sqlite3.connect(without_shared_memory, uri=True, isolation_level=None)) as connection:
        with pytest.raises(UnavailableError, match="write-ahead log") as caught:
            database.prepare(connection, path)
        assert caught.value.reason == "STORE_CANNOT_OPEN"


def test_connection_that_writes_waits_for_the_disk(path: Path) -> None:
    with closing(database.open_for_writing(path)) as connection:
        settings = [connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("journal_mode", "synchronous", "busy_timeout")]
    assert settings == ["wal", 2, 5000]


async def test_open_in_a_missing_directory_is_refused(tmp_path: Path) -> None:
    error = await refusal(tmp_path / "missing" / "schedd.db")
    assert error.reason == "STORE_CANNOT_OPEN"
    assert "no directory" in str(error)


async def test_open_of_a_file_that_is_no_database_is_refused(path: Path) -> None:
    path.write_bytes(b"something else, and long enough to have a header" * 100)
    assert (await refusal(path)).reason == "STORE_CANNOT_OPEN"


async def test_open_of_another_programs_database_is_refused(path: Path) -> None:
    tamper(path, "CREATE TABLE theirs (x)")
    assert (await refusal(path)).reason == "STORE_FOREIGN"


async def test_open_of_a_newer_schema_is_refused(path: Path) -> None:
    await (await SqliteStore.open(path)).aclose()
    tamper(path, "PRAGMA user_version = 999")
    error = await refusal(path)
    assert error.reason == "STORE_NEWER"
    assert "999" in str(error)


async def test_close_leaves_one_file_and_reopening_finds_everything(path: Path) -> None:
    store = await SqliteStore.open(path)
    (stored,) = await create(store, draft(1, labels={"a": "b"}), request=RequestMark(request_id="r", scope="s", fingerprint="f"))
    await store.arm(armed(execution(10, stored), planned_through_us=7))
    _, newest = await store.journal_bounds()
    await store.aclose()
    assert [file.name for file in path.parent.iterdir()] == ["schedd.db"]
    store = await SqliteStore.open(path)
    assert await store.schedule(stored.name) == stored
    assert (await store.unfinished())[0].state is ExecutionState.ARMED
    assert await store.planned_through_us() == 7
    await store.append([JournalEntry(time_us=1, kind=JournalKind.DAEMON_STARTED)])
    assert await store.journal_bounds() == (1, newest + 1)
    assert (await create(store, draft(2)))[0].row == 2
    await store.aclose()


async def test_call_after_close_is_refused(path: Path) -> None:
    store = await SqliteStore.open(path)
    await store.aclose()
    with pytest.raises(UnavailableError) as caught:
        await store.append([])
    assert caught.value.reason == "STORE_CLOSED"
    with pytest.raises(UnavailableError) as caught:
        await store.planned_through_us()
    assert caught.value.reason == "STORE_CANNOT_READ"


async def test_close_finishes_what_was_submitted(path: Path) -> None:
    store = await SqliteStore.open(path)
    tasks = [asyncio.ensure_future(create(store, draft(uid))) for uid in range(1, 20)]
    await asyncio.sleep(0)
    await store.aclose()
    assert len(await asyncio.gather(*tasks)) == 19


async def test_row_that_cannot_be_read_leaves_the_others_alone(store: SqliteStore, path: Path) -> None:
    bad, good = await create(store, draft(1, "bad"), draft(2, "good"))
    tamper(path, "UPDATE schedules SET when_json = '{garbage' WHERE row = 1")
    found = await store.schedules([1, 2])
    assert isinstance(found[1], StoredDataError)
    assert (found[1].table, found[1].row_id) == ("schedules", 1)
    assert found[2] == good
    with pytest.raises(StoredDataError):
        await store.schedule(bad.name)
    page = await store.find_schedules((), BY_NAME, PageRequest(size=1))
    assert (page.items, bool(page.after)) == ([], True)
    assert await names(store, size=1) == ["good"]


@pytest.mark.parametrize(
    "damage",
    ["target_kind = 'FTP'", "state = 'ASLEEP'", "labels = '[1]'", 'policies = \'{"priority":"high"}\'', "target = 'null'", "pause = '7'"],
)
async def test_row_with_a_damaged_value_comes_as_its_error(store: SqliteStore, path: Path, damage: str) -> None:
    await create(store, draft(1))
    tamper(path, f"UPDATE schedules SET {damage}")
    assert isinstance((await store.schedules([1]))[1], StoredDataError)


async def test_row_that_cannot_be_read_can_be_quarantined(store: SqliteStore, path: Path) -> None:
    await create(store, draft(1))
    tamper(path, "UPDATE schedules SET when_json = '{garbage'")
    await store.quarantine(1, JournalEntry(time_us=1, kind=JournalKind.SCHEDULE_DISABLED, schedule_row=1))
    assert len(await store.timers()) == 0
    [entry] = await store.journal(after=1, limit=9)
    assert (entry.schedule_uid, str(entry.schedule)) == (1, "groups/default/schedules/job-1")


async def test_row_that_cannot_be_read_is_deleted_once_and_purged_in_its_time(store: SqliteStore, path: Path) -> None:
    bad, _ = await create(store, draft(1, "bad", labels={"a": "b"}), draft(2, "good"))
    tamper(path, "UPDATE schedules SET labels = '{garbage' WHERE row = 1")
    found = await store.stored_schedule(bad.name)
    assert isinstance(found, UnreadableSchedule)
    entry = JournalEntry(time_us=5, kind=JournalKind.SCHEDULE_DELETED, schedule=bad.name, schedule_uid=1)
    deletion = UnreadableDeletion(schedule=found, deleted_us=5, entries=(entry,))
    await store.delete_unreadable(deletion)
    with pytest.raises(ConflictError):
        await store.delete_unreadable(deletion)
    with pytest.raises(NotFoundError):
        await store.delete_unreadable(replace(deletion, schedule=replace(found, uid=99)))
    assert list((await store.timers()).rows) == [2]
    while await store.prune(Retention(), now_us=10**16):
        pass
    assert await names(store, size=1) == ["good"]
    assert await store.schedules([1]) == {}


async def test_timers_that_are_missing_are_restored_and_journaled(store: SqliteStore, path: Path) -> None:
    await create(store, *(draft(uid) for uid in range(1, 8)))
    tamper(path, "DELETE FROM timers WHERE row > 2")
    entry = JournalEntry(time_us=5, kind=JournalKind.SCHEDULE_UPDATED, evidence={"detail": "missing"})
    assert await store.restore_timers(entry) == 5
    found = await store.timers()
    assert (list(found.rows), list(found.next_us[2:])) == ([*range(1, 8)], [1] * 5)
    told = [(str(each.schedule), each.schedule_uid) for each in await store.journal(after=7, limit=9)]
    assert told == [(f"groups/default/schedules/job-{uid}", uid) for uid in range(3, 8)]


async def test_damaged_execution_is_left_out_of_recovery_only(store: SqliteStore, path: Path) -> None:
    (stored,) = await create(store, draft(1))
    await store.arm(armed(execution(10, stored), execution(11, stored, 5)))
    tamper(path, "UPDATE executions SET cause = 'BOREDOM' WHERE id = 10")
    assert [each.id for each in await store.unfinished()] == [11]
    with pytest.raises(StoredDataError):
        await store.execution(10)


async def test_full_disk_refuses_the_change_and_takes_later_ones(path: Path) -> None:
    connection = database.open_for_writing(path)
    pages: int = connection.execute("PRAGMA page_count").fetchone()[0]
    connection.execute(f"PRAGMA max_page_count = {pages + 4}")
    store = await SqliteStore.over(path, Writer(connection))
    heard: list[JournalEntry] = []
    store.listen(heard.extend)
    answers = await asyncio.gather(*(create(store, draft(uid, description="x" * 5000)) for uid in range(1, 9)), return_exceptions=True)
    assert {type(answer) for answer in answers} == {UnavailableError}
    assert {answer.reason for answer in answers if isinstance(answer, UnavailableError)} == {"STORE_REFUSES_WRITES"}
    assert heard == []
    assert await names(store) == []
    (stored,) = await create(store, draft(20))
    assert (stored.row, [entry.sequence for entry in heard]) == (1, [1])
    await store.aclose()


async def test_change_that_sqlite_cannot_hold_fails_alone(store: SqliteStore) -> None:
    answers = await asyncio.gather(
        create(store, draft(1)), create(store, draft(2, planned_from_us=2**70)), create(store, draft(3)), return_exceptions=True
    )
    assert isinstance(answers[1], OverflowError)
    assert await names(store) == ["job-1", "job-3"]
    assert [each.schedule_row for each in await store.journal(after=0, limit=9)] == [1, 2]


async def test_concurrent_calls_share_transactions(store: SqliteStore) -> None:
    portions: list[int] = []
    store.listen(lambda entries: portions.append(len(entries)))
    await asyncio.gather(*(create(store, draft(uid)) for uid in range(1, 101)))
    assert sum(portions) == 100
    assert len(portions) <= 10


async def test_backup_is_a_whole_database_and_replaces_nothing(store: SqliteStore, tmp_path: Path) -> None:
    (stored,) = await create(store, draft(1))
    copy = tmp_path / "copy.db"
    await store.backup(str(copy))
    assert stat.S_IMODE(copy.stat().st_mode) == 0o600
    with pytest.raises(AlreadyExistsError):
        await store.backup(str(copy))
    opened = await SqliteStore.open(copy)
    assert await opened.schedule(stored.name) == stored
    await opened.aclose()


async def test_backup_that_cannot_be_written_leaves_nothing(store: SqliteStore, tmp_path: Path) -> None:
    with pytest.raises(UnavailableError) as caught:
        await store.backup(str(tmp_path / "missing" / "copy.db"))
    assert caught.value.reason == "BACKUP_FAILED"


async def test_deleted_schedules_revival_and_its_holders_deletion_at_once_both_hold(store: SqliteStore) -> None:
    (old,) = await create(store, draft(1, "name"))
    gone = changed(old, state=old.state.DELETED, deleted_us=1)
    await store.change_schedule(gone)
    (new,) = await create(store, draft(2, "name"))
    await asyncio.gather(
        store.change_schedule(changed(new, state=old.state.DELETED, deleted_us=1)),
        store.change_schedule(changed(gone.schedule, state=old.state.ENABLED, deleted_us=None)),
    )
    assert (await store.schedule(old.name)).uid == 1


_CRASHING = """
import asyncio, sys
from pathlib import Path
from schedd.store.sqlite import SqliteStore
from tests.conformance.store import armed, create, draft, execution

async def write(store, first):
    for uid in range(first, first + 100_000, 8):
        (stored,) = await create(store, draft(uid))
        await store.arm(armed(execution(uid, stored)))
        print(uid, flush=True)

async def main():
    store = await SqliteStore.open(Path(sys.argv[1]))
    await asyncio.gather(*(write(store, first) for first in range(1, 9)))

asyncio.run(main())
"""


async def test_kill_9_loses_nothing_that_was_acknowledged(path: Path) -> None:
    root = Path(__file__).parents[2]
    acknowledged: list[int] = []
    with subprocess.Popen([sys.executable, "-c", _CRASHING, path], stdout=subprocess.PIPE, text=True, cwd=root) as child:
        assert child.stdout is not None
        acknowledged += [int(child.stdout.readline()) for _ in range(500)]
        child.kill()
        acknowledged += [int(line) for line in child.stdout if line.endswith("\n")]
    store = await SqliteStore.open(path)
    stored = await names(store)
    assert {f"job-{uid}" for uid in acknowledged} <= set(stored)
    assert set(acknowledged) <= {each.id for each in await store.unfinished()}
    kept = [entry for entry in await store.journal(after=0, limit=100_000) if entry.kind is JournalKind.SCHEDULE_CREATED]
    assert sorted(entry.schedule.schedule for entry in kept if entry.schedule) == sorted(stored)
    await store.aclose()


async def test_entries_of_a_call_are_read_back_as_they_were_heard(store: SqliteStore) -> None:
    heard: list[JournalEntry] = []
    store.listen(heard.extend)
    (stored,) = await create(store, draft(1))
    await store.change_schedule(changed(stored))
    assert list(await store.journal(after=0, limit=9)) == heard
    assert heard[0].schedule == entry_of(stored).schedule


async def test_zone_mark_that_cannot_be_read_counts_as_unknown(store: SqliteStore, path: Path) -> None:
    await store.keep_zones([ZoneMark(name="Europe/Berlin", version="2025b", from_us=1, until_us=2, offsets=((1, 0),))])
    tamper(path, "UPDATE zones SET offsets = 'x'")
    assert await store.zone_marks() == (ZoneMark(name="Europe/Berlin", version="", from_us=0, until_us=0, offsets=()),)


async def test_zones_of_a_database_of_before_are_known_by_name(path: Path) -> None:
    older = [migration for migration in database.migrations() if migration.version < 5]
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        for migration in older:
            connection.executescript(migration.script)
        connection.executescript(f"PRAGMA application_id = {database.APPLICATION_ID}; PRAGMA user_version = {older[-1].version}")
        columns = [row[1] for row in connection.execute("PRAGMA table_info(schedules)")]
        values = ["Asia/Tokyo" if name == "time_zone" else 1 for name in columns]
        connection.execute(f"INSERT INTO schedules ({','.join(columns)}) VALUES ({','.join('?' * len(columns))})", values)
    store = await SqliteStore.open(path)
    assert [(mark.name, mark.until_us) for mark in await store.zone_marks()] == [("Asia/Tokyo", 0)]
    await store.aclose()


@pytest.mark.parametrize(("uid", "index"), [(0, "journal_daemon"), (7, "journal_schedule")])
async def test_journal_of_one_schedule_or_of_none_is_found_by_its_index(path: Path, uid: int, index: str) -> None:
    await (await SqliteStore.open(path)).aclose()
    matching = search.conditions((Comparison(field="schedule_uid", operator=Operator.EQUAL, value=uid),), search.JOURNAL_FIELDS)
    with closing(sqlite3.connect(path)) as connection:
        statement = f"EXPLAIN QUERY PLAN SELECT * FROM journal AS j WHERE {matching.text} AND j.sequence > 0 ORDER BY j.sequence DESC"
        plan = [detail for *_, detail in connection.execute(statement, matching.values)]
    assert [index in detail for detail in plan] == [True]


def test_migrations_have_a_version_each() -> None:
    versions = [migration.version for migration in database.migrations()]
    assert versions == sorted(set(versions))
