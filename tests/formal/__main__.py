"""Proves the parts of hdl/lib, without a bound: docs/formal.md.

    python -m tests.formal [--part NAME] [--json FILE]

Exit status 1 if anything is not proved, a cover is not reached or a fault not found.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.formal.parts import PARTS
from tests.formal.proof import Row, rows

COLUMNS = ("part", "property", "answer", "seconds", "cover", "fault")


def show(row: Row) -> str:
    """A line of the table. A search of paths has no depths."""
    depths = [f"{depth}" if depth is not None else "-" for depth in (row.cover, row.fault)]
    cells = (row.part, row.property, row.answer, f"{row.seconds:.2f}", *depths)
    line = "{:20} {:9} {:10} {:>7} {:>6} {:>6}".format(*cells)
    return f"{line}  {row.why}" if row.why else line


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="formal", description=__doc__.partition("\n")[0])
    parser.add_argument("--part", metavar="NAME", help="only parts whose name begins with this")
    parser.add_argument("--json", metavar="FILE", help="write the table there")
    options = parser.parse_args(argv)
    chosen = [part for part in PARTS if part.name.startswith(options.part or "")]
    if not chosen:
        parser.error(f"no part is called {options.part}; there are {[p.name for p in PARTS]}")

    print("{:20} {:9} {:10} {:>7} {:>6} {:>6}".format(*COLUMNS))
    began, table = time.monotonic(), []
    with ThreadPoolExecutor(os.cpu_count()) as pool:  # Yosys and ABC are processes of their own
        for found in pool.map(rows, chosen):
            table += found
            print("\n".join(show(row) for row in found), flush=True)
    bad = [row for row in table if not row.good]
    print(f"{len(table)} proofs of {len(chosen)} parts, {len(bad)} bad, ", end="")
    print(f"{time.monotonic() - began:.0f} s")
    if options.json:
        Path(options.json).write_text(json.dumps([row.asdict() for row in table], indent=1) + "\n")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
