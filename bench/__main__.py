"""`python -m bench [--quick] [NAME …]`: runs each benchmark in a process of its own, prints one table of all, writes build/bench.json."""

from __future__ import annotations

import argparse
import importlib
import json
import os
import platform
import sqlite3
import sys
import time
from dataclasses import asdict
from functools import partial
from pathlib import Path

from bench.side import SideError, apart
from bench.table import Row, lines

FOUND = Path(__file__).parents[1] / "build" / "bench.json"
BENCHMARKS = {
    "create": "creations one a call and a thousand a call",
    "backlog": "HTTP fires and process starts from a backlog, through the whole daemon",
    "lateness": "lateness and CPU a fire at 100 and 1,000 a second, idle and while creations saturate the daemon",
    "restart": "start with 100k and 1M schedules, memory, 100k overdue",
    "catchup": "lateness of live fires while 40,000 overdue occurrences are caught up",
    "watchers": "100 watchers of one daemon",
    "rules": "the next fire time of a rule",
    "store": "the store alone",
    "http_client": "the HTTP target alone",
    "process_starts": "the process target alone, also in a large process",
}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench", description="\n".join(f"{name}: {text}" for name, text in BENCHMARKS.items()))
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("names", nargs="*", metavar="NAME", help="which benchmarks (default: all)")
    parser.add_argument("--quick", action="store_true", help="shorter and smaller: it runs in some minutes, and says less")
    options = parser.parse_args()
    if unknown := sorted(set(options.names) - set(BENCHMARKS)):
        parser.error(f"no benchmark is called {unknown[0]!r}; there are: {', '.join(BENCHMARKS)}")
    os.environ["GRPC_ENABLE_FORK_SUPPORT"] = "0"
    rows: list[Row] = []
    failed = False
    for name in options.names or BENCHMARKS:
        started = time.monotonic()
        print(f"{name}: {BENCHMARKS[name]} …", end=" ", flush=True)
        try:
            rows += apart(partial(importlib.import_module(f"bench.{name}").measure, quick=options.quick))
        except SideError as error:  # The others' figures are worth having all the same.
            failed = True
            print(f"failed: {error}", flush=True)
        else:
            print(f"{time.monotonic() - started:.0f} s", flush=True)
    print("\n" + "\n".join(lines(rows)))
    write(rows, quick=options.quick)
    return int(failed)


def write(rows: list[Row], *, quick: bool) -> None:
    host = {"cpus": os.cpu_count(), "python": platform.python_version(), "sqlite": sqlite3.sqlite_version, "kernel": platform.release()}
    figures = [{**asdict(row), "ratio": row.ratio, "reached": row.reached} for row in rows]
    FOUND.parent.mkdir(exist_ok=True)
    FOUND.write_text(json.dumps({"quick": quick, "host": host, "rows": figures}, indent=1) + "\n")


if __name__ == "__main__":
    sys.exit(main())
