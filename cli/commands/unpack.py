"""eyrie unpack: the plain memory image of a compiled folder."""

from __future__ import annotations

import argparse
from pathlib import Path

from cli import options


def add(commands: options.Commands) -> None:
    parser = options.command(
        commands, "unpack", unpack, description="Decodes memory.huff of `eyrie compile --huffman`."
    )
    parser.add_argument("folder", metavar="DIR", help="of an earlier compile")
    parser.add_argument(
        "-o", "--output", required=True, metavar="FILE", help="the image, as memory.bin"
    )


def unpack(args: argparse.Namespace) -> int:
    from compiler.export.export import read_memory
    from hdl.emit.files import write_atomic

    memory = read_memory(args.folder)
    write_atomic(Path(args.output), memory)
    print(f"{args.output}: {len(memory):,} bytes")
    return 0
