"""The peer: APScheduler 3 with its SQLAlchemy job store on SQLite, in WAL mode and with synchronous=FULL, as durable as schedd.

Each job is a one-time job that posts to the receiver from a pool of threads that keep their connections. A backlog of jobs is written to
the store's table in one go, in the store's own format, since adding them one by one would take minutes.
"""

from __future__ import annotations

import http.client
import os
import pickle
import sqlite3
import threading
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from apscheduler.executors.pool import ThreadPoolExecutor
from apscheduler.job import Job
from apscheduler.jobstores.sqlalchemy import SQLAlchemyJobStore
from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.triggers.date import DateTrigger
from sqlalchemy import event

from bench.pace import Rate
from bench.side import resident_bytes

THREADS = 64
NAME = "APScheduler 3"

_kept = threading.local()


def post(port: int, due_s: float) -> None:
    """The job."""
    connection = getattr(_kept, "connection", None)
    if connection is None:
        connection = _kept.connection = http.client.HTTPConnection("127.0.0.1", port)
    due = datetime.fromtimestamp(due_s, UTC).isoformat()
    connection.request("POST", "/", body=b"", headers={"Schedd-Due-Time": due})
    connection.getresponse().read()


def creations(path: Path, seconds: float) -> Rate:
    """Jobs a second that one caller adds while the scheduler runs."""
    scheduler, _ = _scheduler(path)
    scheduler.start()
    added, before, started = 0, time.process_time(), time.perf_counter()
    while (took := time.perf_counter() - started) < seconds:
        scheduler.add_job(post, "cron", args=(1, 0.0), month=1, day=1, hour=0, minute=0)
        added += 1
    cpu_us = (time.process_time() - before) / added * 1e6
    scheduler.shutdown(wait=False)
    return Rate(a_second=added / took, cpu_us=cpu_us)


def fires(pipe: Connection, path: Path, port: int) -> None:
    """A process that takes a list of due times and fires a job at each; it says when the scheduler runs, then the CPU time so far."""
    due_s = pipe.recv()
    scheduler = fill(path, port, due_s)
    scheduler.start()
    pipe.send("ready")
    while True:
        pipe.recv()
        pipe.send(time.process_time())


def overdue(pipe: Connection, path: Path) -> None:
    """A process that starts on a store that holds its jobs; it answers with its own memory, in bytes."""
    scheduler, _ = _scheduler(path)
    scheduler.start()
    pipe.send("ready")
    pipe.recv()
    pipe.send(resident_bytes(os.getpid()))


def fill(path: Path, port: int, due_s: Sequence[float]) -> BackgroundScheduler:
    """A scheduler that is not started yet, its store filled with one job for each due time."""
    scheduler, store = _scheduler(path)
    store.start(scheduler, "default")
    with store.engine.begin() as transaction:
        for start in range(0, len(due_s), 1000):
            rows = [_row(scheduler, number, port, due_s[number]) for number in range(start, min(start + 1000, len(due_s)))]
            transaction.execute(store.jobs_t.insert(), rows)
    return scheduler


def fill_only(path: Path, port: int, due_s: Sequence[float]) -> None:
    """As `fill`, for a process that only fills."""
    fill(path, port, due_s)


def _row(scheduler: BackgroundScheduler, number: int, port: int, due_s: float) -> dict[str, Any]:
    due = datetime.fromtimestamp(due_s, UTC)
    job = Job(
        scheduler,
        id=f"job-{number}",
        name="post",
        func=post,
        args=(port, due_s),
        kwargs={},
        trigger=DateTrigger(run_date=due),
        executor="default",
        misfire_grace_time=None,
        coalesce=False,
        max_instances=1,
        next_run_time=due,
    )
    return {"id": job.id, "next_run_time": due_s, "job_state": pickle.dumps(job.__getstate__(), pickle.HIGHEST_PROTOCOL)}


def _scheduler(path: Path) -> tuple[BackgroundScheduler, SQLAlchemyJobStore]:
    store = SQLAlchemyJobStore(url=f"sqlite:///{path}")
    event.listen(store.engine, "connect", _durable)
    scheduler = BackgroundScheduler(
        jobstores={"default": store},
        executors={"default": ThreadPoolExecutor(THREADS)},
        job_defaults={"misfire_grace_time": None, "coalesce": False},
        timezone=UTC,
    )
    return scheduler, store


def _durable(connection: sqlite3.Connection, _: object) -> None:
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
