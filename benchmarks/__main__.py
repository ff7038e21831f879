"""python -m benchmarks [NAME …] [--quick] [--json] [--rounds N]: measure, and say how fast.

Without a name, all of them run, and benchmarks/results.md is written.
"""

import argparse
import json
import os
import platform
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from benchmarks import append, catalogue, peer, projections, transfer, web
from benchmarks.measure import Comparison, say
from benchmarks.report import as_table
from benchmarks.server import benchmark_server

BENCHMARKS: dict[str, Any] = {
    "append": append,
    "projections": projections,
    "transfer": transfer,
    "catalogue": catalogue,
    "web": web,
}
RESULTS = Path(__file__).with_name("results.md")


def main(arguments: Sequence[str] | None = None) -> None:
    """Run what was asked for; figures go to standard output, progress to standard error."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("name", nargs="*", choices=[*BENCHMARKS, []], help="all by default")
    parser.add_argument("--quick", action="store_true", help="shorter runs, rougher figures")
    parser.add_argument("--json", action="store_true", help="one JSON object on standard output")
    parser.add_argument("--rounds", type=int, help="how often each pair is run, at least 3")
    given = parser.parse_args(arguments)
    if given.rounds is not None and given.rounds < 3:
        parser.error("--rounds must be at least 3")

    comparisons: list[Comparison] = []
    others: dict[str, Any] = {}
    with benchmark_server() as server:
        say("the server is up")
        machine = (
            f"{os.cpu_count()} cores, {platform.system()} {platform.machine()}, "
            f"Python {platform.python_version()}, PostgreSQL {server.version()} with fsync and "
            f"synchronous_commit on, eventsourcing {peer.VERSION}"
        )
        for name in given.name or BENCHMARKS:
            module = BENCHMARKS[name]
            extent = module.QUICK if given.quick else module.FULL
            if given.rounds is not None:
                extent = msgspec.structs.replace(extent, rounds=given.rounds)
            measured, figures = module.measure(server, extent)
            comparisons += measured
            others |= figures
    table = as_table(comparisons, others, f"{machine}; {datetime.now(UTC):%Y-%m-%d}")
    if given.json:
        facts = {comparison.key: comparison.facts() for comparison in comparisons}
        print(json.dumps({**facts, **others, "machine": machine, "quick": given.quick}))
    else:
        print(table)
    if not given.name and not given.quick:
        RESULTS.write_text(f"# Benchmark results\n\n{table}", encoding="utf-8")


if __name__ == "__main__":
    main()
