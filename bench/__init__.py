"""Benchmarks: schedd beside its limits and its peers, in one run. docs/performance.md says how to read the table."""
