"""The table of sparse layers, as `fc` and `bench-fc` end."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cli.output import complain, console, write_json

if TYPE_CHECKING:
    from sim.bench.bench_fc import FcResult


def report(results: list[FcResult], path: str | None, about: dict[str, Any]) -> int:
    """Prints the table and writes it to the file of `--json` with what it is about. The exit
    status."""
    from sim.bench.bench_table import fc_table

    console().print(fc_table(results))
    write_json(path, about | {"layers": [result.to_dict() for result in results]})
    wrong = sum(result.mismatches for result in results)
    wrong += sum(
        row["mismatches"] for kind in ("pointer_batches", "streamed") for row in about.get(kind, ())
    )
    if wrong:
        complain(f"{wrong} outputs differ from golden")
    return 1 if wrong else 0
