"""Waiting for the embedded store: flock on its directory against SQLite's own waiting.

Prints the longest and the median process's longest wait, and the wall time, of both, and their ratios. The two take
turns in one run.

    .venv/bin/python bench/lock.py [--processes 64] [--transactions 40] [--rounds 3]
"""

from __future__ import annotations

import argparse
import fcntl
import multiprocessing
import os
import sqlite3
import statistics
import tempfile
import time
from contextlib import closing
from multiprocessing.pool import Pool


def work(task: tuple[str, bool, int]) -> float:
    """Run transactions, one connection each as a plugin does; return the longest in seconds."""
    directory, with_flock, transactions = task
    longest = 0.0
    for _ in range(transactions):
        began = time.perf_counter()
        descriptor = os.open(directory, os.O_RDONLY)
        if with_flock:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        with closing(sqlite3.connect(f"{directory}/db", timeout=60, isolation_level=None)) as connection:
            connection.execute("BEGIN IMMEDIATE")
            connection.execute("INSERT INTO record VALUES (?, ?)", (os.urandom(8), "x" * 200))
            connection.execute("COMMIT")
        os.close(descriptor)
        longest = max(longest, time.perf_counter() - began)
    return longest


def measure(pool: Pool, with_flock: bool, arguments: argparse.Namespace) -> tuple[float, float, float]:
    """Return the longest wait, the median of each process's longest wait, and the wall time, in seconds."""
    with tempfile.TemporaryDirectory() as directory:
        with closing(sqlite3.connect(f"{directory}/db")) as connection:
            connection.execute("CREATE TABLE record (key BLOB PRIMARY KEY, text) WITHOUT ROWID")
        tasks = [(directory, with_flock, arguments.transactions)] * arguments.processes
        began = time.perf_counter()
        waits = pool.map(work, tasks, chunksize=1)
        return max(waits), statistics.median(waits), time.perf_counter() - began


def main() -> None:
    """Measure both in turn and print the medians over the rounds."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--processes", type=int, default=64)
    parser.add_argument("--transactions", type=int, default=40)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    figures: dict[bool, list[tuple[float, float, float]]] = {True: [], False: []}
    with multiprocessing.Pool(arguments.processes) as pool:
        for _ in range(arguments.rounds):
            for with_flock in (True, False):
                figures[with_flock].append(measure(pool, with_flock, arguments))
    print(f"{arguments.processes} processes, {arguments.transactions} transactions each; medians of {arguments.rounds}")
    print(f"{'seconds':22}{'flock':>10}{'SQLite':>10}{'ratio':>8}")
    for index, name in enumerate(("longest wait", "median longest wait", "wall time")):
        ours, theirs = (statistics.median(row[index] for row in figures[kind]) for kind in (True, False))
        print(f"{name:22}{ours:10.2f}{theirs:10.2f}{ours / theirs:8.2f}")


if __name__ == "__main__":
    main()
