"""What an integrator takes away: memory image, address map, C header and bare-metal driver."""

from __future__ import annotations

import json
import os
import re
import shutil
import tempfile
from pathlib import Path

import numpy as np

from compiler.graph import Output
from compiler.layers import Conv
from compiler.lowering.compile import compile_network
from compiler.lowering.structures.coded import tensor_of
from compiler.lowering.structures.options import Options
from compiler.lowering.structures.program import Program
from compiler.mapping.mapper import Mapper
from compiler.quantise.fixed_point import QuantisedGraph
from compiler.runtime.verify import verify
from compiler.sparse.stored import StoredError, pack, unpack
from golden.integer.affine import Affine
from hdl import isa
from hdl.config import Config
from hdl.isa import Register

DRIVER = Path(__file__).parent / "driver"
MAP = "map.json"
PAGE = 4096


class ExportError(ValueError):
    """An export that cannot be written; one line."""


# ---- the address map ---------------------------------------------------------------------
def _affine(affine: Affine) -> dict:
    """What an 8-bit number stands for."""
    return {"type": str(affine.dtype), "scale": affine.scale, "zero_point": affine.zero}


def tensor_map(program: Program, network: QuantisedGraph, name: str) -> dict:
    """Where a tensor lies, as plain data.

    Element (image, channel, y, x) is at address + image * image_pitch + y * row_pitch +
    (first_block + s // block) * strip_pitch + element_bytes * (x * block + s % block), with s the
    channel's slot (the channel itself where `slots` is not given). It is int16 and stands for
    v * 2**-fraction_bits, or of 8 bits, `type`, and stands for (q - zero_point) * scale. With `rlc`
    the strips are coded (docs/architecture.md) and start there; their lengths are at table + image
    * image_pitch + row * table_row_pitch + 2 * (first_block + block).
    """
    graph, view = program.graph, program.views[name]
    tensor_name = tensor_of(name, graph.tensors)
    tensor, s = graph.tensors[tensor_name], view.storage
    role = "input" if name == graph.input else "output" if name in graph.outputs else "inner"
    out = {
        "name": name,
        "role": role,
        "address": s.address,
        "image_pitch": s.image_bytes,
        "row_pitch": s.row_bytes,
        "strip_pitch": s.strip_bytes,
        "block": s.block,
        "first_block": view.first_block,
        "channels": tensor.channels,
        "height": tensor.height,
        "width": tensor.width,
        "element_bytes": 2,
    }
    if tensor.affine is None:
        out["fraction_bits"] = network.formats[tensor_name]
    else:
        out |= {"element_bytes": 1} | _affine(tensor.affine)
    if s.rlc:
        out["rlc"] = {
            "table": s.address + s.row_bytes * s.height,
            "table_row_pitch": s.table_row_bytes,
        }
    if not view.plain:
        out["slots"] = view.slots.tolist()
    return out


def segment_map(program: Program, segment) -> dict:
    """A layer's part of the program, as plain data."""
    out = {
        "name": segment.name,
        "kind": segment.kind,
        "output": segment.output,
        "first_command": segment.first,
        "commands": segment.count,
    }
    if segment.mapping is not None:
        m = segment.mapping
        out |= {
            "macs": segment.macs,
            "pes": segment.pes,
            "estimated_cycles": m.cycles,
            "bound": m.bound,
            "mapping": {
                "height": m.height,
                "width": m.width,
                "p": m.p,
                "q": m.q,
                "r": m.r,
                "t": m.t,
                "e": m.e,
                "n": m.n,
                "columns": m.columns,
            },
        }
    return out


def _output(each: Output) -> dict:
    """An output; what its host operator 'quantise' makes, if it has one."""
    out = {"name": each.name, "tensor": each.tensor, "host_ops": list(each.host_ops)}
    if each.affine:
        out["quantise"] = _affine(each.affine)
    return out


def address_map(program: Program, network: QuantisedGraph) -> dict:
    """Everything about a program but its bytes, fit for JSON."""
    graph = program.graph
    return {
        "config": program.config.name,
        "images": program.images,
        "memory": {
            "file": "memory.bin",
            "address": program.constant,
            "bytes": program.end - program.constant,
        },
        "base": program.base,
        "constant": program.constant,
        "program": program.program,
        "commands": program.command_count,
        "end": program.end,
        "windows": {"read": [program.base, program.end], "write": [program.base, program.constant]},
        "input": graph.input,
        "output": graph.output,
        "host_ops": list(graph.host_ops),
        "outputs": [_output(each) for each in graph.results],
        "real_input": graph.real_input,
        "rounding": "half to even" if graph.halves_even else "half away from zero",
        "order": "HWC" if graph.channels_last else "CHW",
        "input_scale": np.asarray(graph.input_scale).tolist(),
        "input_offset": np.asarray(graph.input_offset).tolist(),
        "tensors": [tensor_map(program, network, name) for name in program.views],
        "layers": [segment_map(program, segment) for segment in program.segments],
        "macs_per_image": graph.macs(),
        "weights": sum(layer.weights.size for layer in graph.layers if isinstance(layer, Conv)),
    }


# ---- the C header ------------------------------------------------------------------------
def _constant(name: str) -> str:
    return re.sub(r"\W", "_", name).upper()


def _lines(title: str, prefix: str, values) -> list[str]:
    """A titled list of #defines; ints unsigned, other values as they are."""
    out = [f"/* {title} */"]
    for name, value in values:
        text = f"0x{value:X}u" if isinstance(value, int) else value
        out.append(f"#define EYRIE_{prefix}{_constant(name)} {text}")
    return [*out, ""]


def _list(values) -> str:
    return "{" + ", ".join(f"{v:.9g}" for v in values) + "}"


def _tensor_lines(program: Program, network: QuantisedGraph, name: str, role: str) -> list[str]:
    t = tensor_map(program, network, name)
    plain = re.sub(r"[^ -~]|\*/|/\*|\\", "?", name)
    values = [
        (key.removesuffix("_bits"), t[key])
        for key in (
            "address",
            "image_pitch",
            "row_pitch",
            "strip_pitch",
            "block",
            "first_block",
            "channels",
            "height",
            "width",
            "element_bytes",
        )
    ]
    values += [
        ("fraction", f"({t.get('fraction_bits', 0)})"),
        ("unsigned", int(t.get("type") == "uint8")),
        ("zero_point", f"({t.get('zero_point', 0)})"),
        ("scale", f"{t.get('scale', 0):.9e}f"),
        ("size", t["channels"] * t["height"] * t["width"]),
    ]
    if "slots" in t:
        values.append(("slots", _list(t["slots"])))
    table = f"(const uint16_t[])EYRIE_{role}SLOTS" if "slots" in t else "NULL"
    values.append(("slot_table", table))
    return _lines(f"Tensor {plain}", role, values)


def _output_lines(program: Program, network: QuantisedGraph) -> list[str]:
    """The outputs: OUTPUT the first, OUTPUT1 and so on the others."""
    results = program.graph.results
    prefixes = ["OUTPUT", *(f"OUTPUT{n}" for n in range(1, len(results)))]
    lines = []
    for prefix, each in zip(prefixes, results):
        lines += _tensor_lines(program, network, each.tensor, f"{prefix}_")
        host = [f"/* Left to the host, after this output: {op} */" for op in each.host_ops]
        lines[-1:] = [*host, ""]
    listed = " ".join(f"X(EYRIE_{prefix})" for prefix in prefixes)
    return [
        *lines,
        "/* Outputs, in the network's order */",
        f"#define EYRIE_OUTPUTS {len(results)}u",
        f"#define EYRIE_OUTPUT_LIST(X) {listed}",
        "",
    ]


def definitions(program: Program, network: QuantisedGraph) -> str:
    """The #defines of eyrie.h: the hardware's from hdl.isa, the network's from the program."""
    graph, config = program.graph, program.config
    lines = [
        *_lines("Registers, byte offsets", "REG_", [(r.name, int(r)) for r in Register]),
        *_lines(
            "Values of registers",
            "",
            [
                ("ID_VALUE", isa.ID_VALUE),
                ("VERSION_VALUE", isa.VERSION_VALUE),
                ("PES", config.pes),
                ("GLB_WORDS", config.glb_words),
                ("CONTROL_START", 1),
                ("CONTROL_RESET", 2),
                ("INTERRUPT_ENABLE", 1),
                ("INTERRUPT_PENDING", 2),
            ],
        ),
        *_lines("STATUS, bits 7:0", "STATUS_", [(s.name, int(s)) for s in isa.Status]),
        *_lines("STATUS, bits 15:8", "ERROR_", [(e.name, int(e)) for e in isa.Error]),
        *_lines(
            "Counters: 64 bits at EYRIE_REG_COUNTERS + 8 * number"
            + ("" if config.counters else " (this build has the first; the others read 0)"),
            "COUNTER_",
            [*((name, n) for n, name in enumerate(isa.COUNTERS)), ("count", len(isa.COUNTERS))],
        ),
        *_lines("Commands", "", [("COMMAND_BYTES", isa.COMMAND_BYTES)]),
        *_lines("Opcodes", "OP_", [(op.name, int(op)) for op in isa.Opcode]),
    ]
    fields = [("HEADER", 0, isa.Header)] + [(op.name, 64, body) for op, body in isa.BODIES.items()]
    lines.append("/* Fields of commands: first bit and bits in the 64 bytes, little-endian */")
    for command, base, body in fields:
        for name, offset, width, signed in isa.fields(body):
            what = f"EYRIE_CMD_{command}_{_constant(name)}"
            lines += [
                f"#define {what}_BIT {base + offset}u",
                f"#define {what}_BITS {width}u" + (" /* signed */" if signed else ""),
            ]
    lines += [
        "",
        *_lines(
            "The network",
            "",
            [
                ("IMAGES", program.images),
                ("MEMORY_ADDRESS", program.constant),
                ("MEMORY_BYTES", program.end - program.constant),
                ("PROGRAM_ADDRESS", program.program),
                ("PROGRAM_COUNT", program.command_count),
                ("WINDOW_READ_BASE", program.base),
                ("WINDOW_READ_LIMIT", program.end),
                ("WINDOW_WRITE_BASE", program.base),
                ("WINDOW_WRITE_LIMIT", program.constant),
            ],
        ),
    ]
    lines += [
        "/* An int16 input v is the integer",
        " * round((v * scale[c] + offset[c]) * 2**EYRIE_INPUT_FRACTION), saturated, in channel c.",
        " */",
        f"#define EYRIE_INPUT_SCALES {_list(np.ravel(graph.input_scale))}",
        f"#define EYRIE_INPUT_OFFSETS {_list(np.ravel(graph.input_offset))}",
        "",
    ]
    lines += _tensor_lines(program, network, graph.input, "INPUT_")
    lines += _output_lines(program, network)
    return "\n".join(lines)


def header(program: Program, network: QuantisedGraph) -> str:
    """eyrie.h."""
    text = (DRIVER / "eyrie.h.in").read_text(encoding="utf-8")
    return text.replace("@CONFIG@", program.config.name).replace(
        "@DEFINITIONS@", definitions(program, network)
    )


# ---- the folder --------------------------------------------------------------------------
def check_directory(directory: str | Path) -> None:
    """Raises ExportError unless an export may take this place: nothing there, an empty folder, or
    a folder that holds an earlier export and nothing else."""
    directory = Path(directory)
    if not directory.exists():
        if not directory.absolute().parent.is_dir():
            raise ExportError(f"{directory}: its parent folder does not exist")
        return
    if not directory.is_dir():
        raise ExportError(f"{directory}: is a file")
    found = {path.name for path in directory.iterdir()}
    try:
        ours = set(json.loads((directory / MAP).read_text(encoding="utf-8"))["files"])
    except (OSError, ValueError, KeyError, TypeError):
        ours = set()
    if found - ours:
        raise ExportError(
            f"{directory}: not written by an export: {sorted(found - ours)[0]}; choose another "
            "folder"
        )


def write_directory(directory: str | Path, files: dict[str, bytes | str]) -> None:
    """The folder appears with all its files or stays as it was. Raises ExportError."""
    directory = Path(directory)
    check_directory(directory)
    place = directory.absolute()
    work = Path(tempfile.mkdtemp(dir=place.parent, prefix=f".{place.name}-"))
    try:
        new, old = work / "new", work / "old"
        new.mkdir()
        for name, content in files.items():
            (new / name).write_bytes(content.encode() if isinstance(content, str) else content)
        if place.exists():
            os.rename(place, old)
        try:
            os.rename(new, place)
        except OSError:
            if old.exists():
                os.rename(old, place)
            raise
    finally:
        shutil.rmtree(work, ignore_errors=True)


def export(
    network: QuantisedGraph,
    config: Config,
    directory: str | Path,
    images: int = 1,
    base: int = 0,
    also: dict[str, bytes | str] | None = None,
    huffman: bool = False,
    placement: str = "balanced",
    switches: dict[str, bool | None] | None = None,
    sample: np.ndarray | None = None,
    mapper: Mapper | None = None,
) -> Program:
    """Compile a network to one program and write what an integrator needs of it to `directory`.

    memory.bin: constants and commands, to be at the program's `constant`; map.json: addresses,
    tensors, layers; eyrie.h, eyrie.c: header and driver. also: further files, by name (the Verilog,
    which this package does not make). images: batch of a start; base: first byte address that the
    accelerator uses, a multiple of 4096. huffman: memory.huff, with the streams of the sparse
    engine coded (compiler.sparse.stored), in place of memory.bin. placement, switches, mapper: as
    compile_network. sample: int16 images to try the program on before (compiler/runtime/verify.py),
    random ones if not given.

    The folder is written whole or not at all; an earlier export there is replaced, anything else is
    refused. Raises ExportError, Mismatch for a program that does not compute what golden does, and
    what compile_network raises.
    """
    check_directory(directory)
    if base < 0 or base % PAGE:
        raise ExportError(f"base address {base:#x}: must be a multiple of {PAGE}")
    # The host's code knows plain tensors only.
    program = compile_network(
        network,
        config,
        Options(
            images=images,
            base=base,
            chained=True,
            placement=placement,
            switches=switches or {},
            dense=(network.graph.input, *network.graph.outputs),
            mapper=mapper,
        ),
    )
    verify(program, network, sample)
    listed = address_map(program, network)
    if huffman:
        stored = pack(program.memory, program.tables)
        listed["memory"] |= {"file": "memory.huff", "stored_bytes": len(stored)}
    else:
        stored = program.memory
    files = {
        listed["memory"]["file"]: stored,
        "eyrie.h": header(program, network),
        "eyrie.c": (DRIVER / "eyrie.c").read_bytes(),
        **(also or {}),
    }
    listed = {"files": sorted([*files, MAP]), **listed}
    write_directory(directory, {**files, MAP: json.dumps(listed, indent=1) + "\n"})
    return program


def read_memory(directory: str | Path) -> bytes:
    """The memory image of an exported folder, decoded. Raises ExportError naming the file."""
    directory = Path(directory)
    try:
        listed = json.loads((directory / MAP).read_text(encoding="utf-8"))["memory"]
        path, size = directory / listed["file"], listed["bytes"]
        data = path.read_bytes()
    except (ValueError, KeyError, TypeError) as e:
        raise ExportError(f"{directory / MAP}: not of an export: {e}") from None
    if "stored_bytes" in listed:
        try:
            data = unpack(data)
        except StoredError as e:
            raise ExportError(f"{path}: {e}") from None
    if len(data) != size:
        raise ExportError(f"{path}: {len(data)} bytes of memory, {size} expected")
    return data
