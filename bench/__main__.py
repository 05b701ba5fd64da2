"""`python -m bench`: runs each benchmark in a process of its own, one after the other, prints what they print and gathers their figures.

Each figure stands beside a limit that was measured in the same run. The figures of all go to build/bench.json.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
FOUND = ROOT / "build" / "bench"
BENCHMARKS = {
    "store": ("bench/store.py", str(FOUND / "store.json")),
    "http_client": ("bench/http_client.py", "--json", str(FOUND / "http_client.json")),
    "process_starts": ("bench/process_starts.py", "--json", str(FOUND / "process_starts.json")),
    "fires": ("bench/fires.py", "--json", str(FOUND / "fires.json")),
}


def main() -> None:
    chosen = sys.argv[1:] or list(BENCHMARKS)
    FOUND.mkdir(parents=True, exist_ok=True)
    for name in chosen:
        print(f"\n=== {name}", flush=True)
        subprocess.run([sys.executable, *BENCHMARKS[name]], cwd=ROOT, check=True)
    figures = {path.stem: json.loads(path.read_text()) for path in sorted(FOUND.glob("*.json"))}
    (ROOT / "build" / "bench.json").write_text(json.dumps(figures, indent=1))


if __name__ == "__main__":
    main()
