"""The export, and the programs it is made of, against golden; the C driver against the RTL."""

import ctypes
import json
import re
import subprocess
from contextlib import contextmanager

import numpy as np
import pytest

import cli
from compiler.export.export import ExportError, export
from compiler.frontend.images import read_images
from compiler.frontend.onnx_import import load
from compiler.lowering.compile import compile_network
from compiler.lowering.structures.coded import tensor_of
from compiler.lowering.structures.options import Options
from compiler.quantise.fixed_point import golden_run, quantise, quantise_input
from compiler.quantise.integer_run import integer_run
from compiler.runtime.device import run_program
from compiler.runtime.interpreter import Interpreter
from hdl import isa
from hdl.config import PRESETS
from hdl.emit.verilog import emit, verilator_command
from hdl.isa import COMMAND_BYTES, Error, Opcode
from sim.device import SimDevice
from tests.compiler.builder import Builder, branches
from tests.data import ROOT
from tests.integer_layers import AFTER, draw_integer

MODELS = ROOT / "compiler" / "models"
TINY, DEMO = PRESETS["tiny"], PRESETS["demo"]
BASE = 0x3000
FLAGS = ["-std=c99", "-Wall", "-Wextra", "-Werror", "-pedantic", "-ffreestanding"]


def two_consumers():
    b = Builder((3, 10, 9), 1)
    a = b.conv("x", 6, pads=(1, 1, 1, 1), relu=True)
    b.concat(b.conv(a, 5, (1, 1)), b.conv(a, 4, pads=(1, 1, 1, 1)))
    b.conv(b.graph.output, 7, (2, 2))
    return b.graph


def concat_3_5():
    b = Builder((2, 9, 9), 2)
    b.conv(b.concat(b.conv("x", 3, (1, 1)), b.conv("x", 5, pads=(1, 1, 1, 1))), 6)
    return b.graph


def concat_then_pool():
    b = Builder((2, 9, 9), 2)
    b.pool(
        b.concat(b.conv("x", 3, (1, 1)), b.conv("x", 5, pads=(1, 1, 1, 1))), "max", (2, 2), (2, 2)
    )
    return b.graph


def residual():
    b = Builder((4, 8, 8), 3)
    a = b.conv("x", 8, pads=(1, 1, 1, 1), relu=True)
    d = b.add(a, b.conv(a, 8, pads=(1, 1, 1, 1)), relu=True)
    b.add(d, b.conv(d, 8, (1, 1)))
    return b.graph


def pools_alone():
    b = Builder((3, 11, 12), 4)
    b.pool(b.pool("x", "max", (3, 3), (2, 2), pads=(1, 1, 1, 1)), "average", (2, 2), (1, 1))
    return b.graph


def nested_concat():
    b = Builder((3, 6, 6), 5)
    a = b.conv("x", 3, (1, 1))
    d = b.concat(a, b.conv("x", 5, (1, 1)))
    e = b.concat(d, b.conv(a, 6, (1, 1)))
    b.add(b.conv(e, 4), b.conv(b.concat(d, a), 4))
    return b.graph


def concat_of_the_input():
    b = Builder((3, 6, 6), 6)
    a = b.conv("x", 5, (1, 1))
    b.relu(b.concat("x", a, a))
    return b.graph


def groups():
    b = Builder((6, 8, 8), 7)
    a = b.conv("x", 6, groups=6, pads=(1, 1, 1, 1), relu=True)
    d = b.pool(b.conv(b.conv(a, 12, (1, 1)), 12, groups=3, stride=(2, 2)), "max", (2, 2), (1, 1))
    f = b.concat(d, d)
    b.pool(f, "average", b.graph.tensors[f].shape[1:], (1, 1))
    return b.graph


def pools_then_concat():
    b = Builder((3, 8, 8), 9)
    a = b.pool(b.conv("x", 3, pads=(1, 1, 1, 1)), "max", (2, 2), (2, 2))
    b.conv(
        b.concat(a, b.pool(b.conv("x", 5, pads=(1, 1, 1, 1)), "average", (2, 2), (2, 2))), 4, (2, 2)
    )
    return b.graph


NETWORKS = [
    two_consumers,
    concat_3_5,
    concat_then_pool,
    residual,
    pools_alone,
    nested_concat,
    concat_of_the_input,
    groups,
    pools_then_concat,
    branches,
]


def quantised(graph, config, images=1):
    """(network, int16 input, golden tensors)."""
    raw = np.random.default_rng(0).normal(size=(8, *graph.tensors[graph.input].shape))
    network = quantise(graph, raw, psum_bits=config.psum_bits)
    x = quantise_input(network, raw[:images])
    return network, x, golden_run(network, x).tensors


def fill(device, size):
    """Memory is not zero before a program: padding must not matter."""
    device.write(0, np.random.default_rng(1).integers(0, 256, size, dtype=np.uint8).tobytes())


def windows(program):
    return dict(
        read_window=(program.base, program.end), write_window=(program.base, program.constant)
    )


def wrong(program, device, expected):
    # "t4@8" is t4 in other blocks
    return [
        name
        for name in program.views
        if name != program.graph.input
        and not np.array_equal(
            program.read_tensor(device, name), expected[tensor_of(name, expected)]
        )
    ]


@pytest.mark.sampled(8, across="make")
@pytest.mark.parametrize("chained", [True, False], ids=["chained", "by segment"])
@pytest.mark.parametrize("images,fuse", [(1, True), (3, True), (2, False)])
@pytest.mark.parametrize("config", [TINY, DEMO], ids=lambda c: c.name)
@pytest.mark.parametrize("make", NETWORKS)
def test_program_against_golden(make, config, images, fuse, chained):
    network, x, expected = quantised(make(), config, images)
    program = compile_network(
        network, config, Options(images=images, base=BASE, chained=chained, fuse=fuse)
    )
    device = Interpreter(config, program.end)
    fill(device, program.end)
    program.load(device)
    program.write_input(device, x)
    runs = (
        [(0, program.command_count)] if chained else [(s.first, s.count) for s in program.segments]
    )
    assert sum(count for _, count in runs) == program.command_count
    for first, count in runs:
        result = run_program(
            device, program.program + first * COMMAND_BYTES, count, **windows(program)
        )
        assert result.ok and result.error is Error.NONE
    assert wrong(program, device, expected) == []


# ---- the folder --------------------------------------------------------------------------
@pytest.fixture(scope="module")
def lenet(tmp_path_factory):
    """(network, program, folder) of the demo network."""
    graph = load(MODELS / "lenet5.onnx")
    images = read_images(MODELS / "digits_calibration.npz", graph.tensors[graph.input].shape)
    network = quantise(graph, images, psum_bits=DEMO.psum_bits)
    folder = tmp_path_factory.mktemp("export") / "lenet"
    return (
        network,
        export(network, DEMO, folder, images=2, base=0x10000, also={"x.v": "// here\n"}),
        folder,
        images,
    )


def test_exported_files_run(lenet):
    network, program, folder, images = lenet
    listed = json.loads((folder / "map.json").read_text())
    assert (
        sorted(p.name for p in folder.iterdir())
        == listed["files"]
        == ["eyrie.c", "eyrie.h", "map.json", "memory.bin", "x.v"]
    )
    device = Interpreter(DEMO, listed["end"])
    fill(device, listed["end"])
    device.write(listed["memory"]["address"], (folder / "memory.bin").read_bytes())
    x = quantise_input(network, images[:2])
    tensors = {t["role"]: t for t in listed["tensors"]}

    def address(t, image, c, y, x):
        s = t.get("slots", range(t["channels"]))[c]
        return (
            t["address"]
            + image * t["image_pitch"]
            + y * t["row_pitch"]
            + (t["first_block"] + s // t["block"]) * t["strip_pitch"]
            + 2 * (x * t["block"] + s % t["block"])
        )

    t = tensors["input"]
    for index in np.ndindex(x.shape):
        device.write(address(t, *index), x[index].tobytes())
    windows = listed["windows"]
    assert run_program(
        device,
        listed["program"],
        listed["commands"],
        read_window=tuple(windows["read"]),
        write_window=tuple(windows["write"]),
    ).ok
    t = tensors["output"]
    got = [
        [
            int.from_bytes(device.read(address(t, n, c, 0, 0), 2), "little", signed=True)
            for c in range(10)
        ]
        for n in range(2)
    ]
    assert np.array_equal(got, golden_run(network, x).tensors[program.graph.output][:, :, 0, 0])
    assert sum(layer["commands"] for layer in listed["layers"]) == listed["commands"]
    assert all(layer["mapping"]["p"] for layer in listed["layers"] if "macs" in layer)


def test_header_agrees_with_isa(lenet):
    text = (lenet[2] / "eyrie.h").read_text()
    defined = {
        n: int(v, 0) for n, v in re.findall(r"(?m)^#define (EYRIE_\w+) (0x[0-9A-F]+|\d+)u\b", text)
    }
    assert (
        defined["EYRIE_REG_WATCHDOG"] == isa.Register.WATCHDOG
        and defined["EYRIE_ERROR_WATCHDOG"] == Error.WATCHDOG
    )
    assert (
        defined["EYRIE_COUNTER_COUNT"] == len(isa.COUNTERS)
        and defined["EYRIE_OP_SHAPE"] == Opcode.SHAPE
    )
    raw = int.from_bytes(
        isa.pack(Opcode.OFMAP, signal=0x8001, shift=45, relu=1, base=0xABCDE), "little"
    )

    def field(name):
        return (
            raw >> defined[f"EYRIE_CMD_{name}_BIT"] & (1 << defined[f"EYRIE_CMD_{name}_BITS"]) - 1
        )

    assert [
        field(n)
        for n in ("HEADER_OPCODE", "HEADER_SIGNAL", "OFMAP_SHIFT", "OFMAP_RELU", "OFMAP_BASE")
    ] == [Opcode.OFMAP, 0x8001, 45, 1, 0xABCDE]
    for opcode, body in isa.BODIES.items():
        for name, offset, *_ in isa.fields(body):
            assert defined[f"EYRIE_CMD_{opcode.name}_{name.upper()}_BIT"] == 64 + offset
    assert "@" not in text


@pytest.mark.parametrize("optimise", ["-O0", "-Os"])
def test_driver_compiles_freestanding(lenet, tmp_path, optimise):
    out = tmp_path / "eyrie.o"
    done = subprocess.run(
        ["gcc", *FLAGS, optimise, "-c", str(lenet[2] / "eyrie.c"), "-o", str(out)],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    needed = subprocess.run(
        ["nm", "-u", str(out)], capture_output=True, text=True, check=True
    ).stdout.split()
    assert set(needed) <= {"U", "_GLOBAL_OFFSET_TABLE_"}


def test_export_of_a_copy_in_other_blocks(tmp_path):
    network, _, _ = quantised(nested_concat(), TINY)
    out = tmp_path / "out"
    program = export(network, TINY, out)
    (copy,) = (s for s in program.segments if s.kind == "reorder")
    listed = {t["name"]: t for t in json.loads((out / "map.json").read_text())["tensors"]}
    first, second = listed[copy.tensor], listed[copy.output]
    assert first["block"] != second["block"]
    assert all(first[k] == second[k] for k in ("channels", "height", "width", "fraction_bits"))
    done = subprocess.run(
        ["gcc", *FLAGS, "-c", str(out / "eyrie.c"), "-o", str(tmp_path / "eyrie.o")],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr


def test_a_folder_is_replaced_or_left_alone(tmp_path, monkeypatch):
    network, _, _ = quantised(concat_3_5(), TINY)
    place = tmp_path / "out"
    place.mkdir()
    export(network, TINY, place)
    first = (place / "memory.bin").read_bytes()
    export(network, TINY, place, images=2)  # our own is replaced
    assert (place / "memory.bin").read_bytes() != first
    before = {p.name: p.read_bytes() for p in place.iterdir()}
    with pytest.raises(ValueError, match="batch of 0"):
        export(network, TINY, place, images=0)
    with pytest.raises(ExportError, match="multiple of 4096"):
        export(network, TINY, place, base=64)
    monkeypatch.setattr(
        "compiler.export.export.os.rename", lambda *_: (_ for _ in ()).throw(OSError("disk full"))
    )
    with pytest.raises(OSError, match="disk full"):
        export(network, TINY, place)
    monkeypatch.undo()
    assert {p.name: p.read_bytes() for p in place.iterdir()} == before
    (place / "mine.txt").write_text("keep")
    with pytest.raises(ExportError, match="mine.txt; choose another"):
        export(network, TINY, place)
    with pytest.raises(ExportError, match="is a file"):
        export(network, TINY, place / "mine.txt")
    with pytest.raises(ExportError, match="parent folder"):
        export(network, TINY, tmp_path / "a" / "b")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "map.json").write_text("[1]")
    with pytest.raises(ExportError, match="map.json"):
        export(network, TINY, tmp_path / "other")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["other", "out"]


# ---- the driver and the simulated design ---------------------------------------------------
PORT = """
#include <stdint.h>
struct eyrie;
extern uint32_t (*port_read)(uint32_t);
extern void (*port_write)(uint32_t, uint32_t);
#define EYRIE_READ32(dev, offset) ((void)(dev), port_read(offset))
#define EYRIE_WRITE32(dev, offset, value) ((void)(dev), port_write(offset, value))
"""
READ, WRITE = (
    ctypes.CFUNCTYPE(ctypes.c_uint32, ctypes.c_uint32),
    ctypes.CFUNCTYPE(None, ctypes.c_uint32, ctypes.c_uint32),
)


class Handle(ctypes.Structure):
    _fields_ = [("registers", ctypes.c_size_t), ("memory", ctypes.c_size_t)]


class Driver:
    """eyrie.c of an export as a shared library over a SimDevice."""

    def __init__(self, folder, work, device):
        (work / "port.h").write_text(PORT)
        (work / "port.c").write_text(
            '#include "port.h"\nuint32_t (*port_read)(uint32_t);\nvoid (*port_write)(uint32_t, '
            "uint32_t);\n"
        )
        library = work / "eyrie.so"
        subprocess.run(
            [
                "gcc",
                *FLAGS,
                "-O1",
                "-fPIC",
                "-shared",
                f'-DEYRIE_PORT="{work / "port.h"}"',
                str(folder / "eyrie.c"),
                str(work / "port.c"),
                "-o",
                str(library),
            ],
            check=True,
        )
        self.library = ctypes.CDLL(str(library))
        self.keep = READ(device.read_register), WRITE(device.write_register)
        for name, function in zip(("port_read", "port_write"), self.keep):
            ctypes.c_void_p.in_dll(self.library, name).value = ctypes.cast(
                function, ctypes.c_void_p
            ).value
        self.mapped = (ctypes.c_char * len(device.memory)).from_buffer(device.memory)
        self.handle = Handle(0, ctypes.addressof(self.mapped))
        self.library.eyrie_counter.restype = ctypes.c_uint64
        self.library.eyrie_error.restype = ctypes.c_uint32

    def __getattr__(self, name):
        function = getattr(self.library, "eyrie_" + name)
        return lambda *arguments: function(ctypes.byref(self.handle), *arguments)

    def close(self):
        del self.mapped


@contextmanager
def simulated(folder, work, size, stalls=0.0):
    """(a SimDevice whose memory is filled, the Driver of an export on it)."""
    with SimDevice(TINY, "cpp", size, stalls=stalls, reply_timeout=120) as device:
        fill(device, size)
        driver = Driver(folder, work, device)
        try:
            yield device, driver
        finally:
            driver.close()


def pointer(array):
    return array.ctypes.data_as(ctypes.c_void_p)


def test_driver_runs_the_simulated_design(tmp_path):
    images = 2
    network, x, expected = quantised(branches(), TINY, images)
    program = export(network, TINY, tmp_path / "out", images=images, base=BASE)
    size = -(-program.end // 4096) * 4096
    with simulated(tmp_path / "out", tmp_path, size) as (device, driver):
        assert driver.identify() == 0 and driver.poll() == 2
        image = (tmp_path / "out" / "memory.bin").read_bytes()
        driver.load(image)
        # a program of version 1 began with a bare opcode
        at = program.program - program.constant
        device.write(program.program, bytes([image[at] & 31]))
        assert driver.start(0) == -5 and driver.poll() == 2
        device.write(program.program, image[at : at + 1])
        for n in range(images):
            assert driver.put_input(n, pointer(x[n])) == 0
        assert driver.put_input(images, pointer(x[0])) == -4
        driver.interrupt(1)
        assert driver.start(100_000) == 0 and driver.start(0) == 1
        assert driver.wait(1) == -2 and device.read_register(isa.Register.INTERRUPT) == 1
        device.wait(10_000_000)
        assert driver.wait(5) == 0
        out = np.empty_like(expected[program.graph.output])
        for n in range(images):
            assert driver.get_output(n, pointer(out[n])) == 0
        assert np.array_equal(out, expected[program.graph.output])
        assert wrong(program, device, expected) == []
        assert driver.library.eyrie_argmax(pointer(out[0]), 10) == int(out[0].argmax())
        assert driver.counter(isa.COUNTERS.index("cycles")) > 1000
        assert driver.counter(isa.COUNTERS.index("command_bytes")) == 64 * program.command_count
        assert device.read_register(isa.Register.INTERRUPT) == 3
        driver.interrupt_clear()
        assert device.read_register(isa.Register.INTERRUPT) == 1

        # a damaged program, and the way back
        damaged = program.program + 3 * COMMAND_BYTES
        device.write(damaged, bytes([31 | isa.VERSION_VALUE << 5]))  # no such opcode
        index = ctypes.c_uint32()
        assert driver.start(100_000) == 0
        device.wait(1_000_000)
        assert driver.poll() == -1 and driver.start(0) == -1
        assert driver.error(ctypes.byref(index)) == Error.ILLEGAL_COMMAND and index.value == 3
        assert driver.reset(1000) == 0 and driver.poll() == 2
        program.load(device)
        device.write(program.base, bytes(program.constant - program.base))
        program.write_input(device, x)
        assert driver.start(100_000) == 0
        device.wait(10_000_000)
        assert driver.poll() == 0 and wrong(program, device, expected) == []


def test_driver_runs_integers(tmp_path):
    """Networks of bytes in the model's own values, with every layer that may follow a convolution,
    signed and unsigned."""
    kinds = set()
    for seed in range(2 * len(AFTER)):
        what, graph, network, q = draw_integer(seed, TINY.psum_bits)
        images, want = len(q), integer_run(graph, q)[graph.output]
        expected = golden_run(network, graph.tensors["in"].affine.centred(q)).tensors
        folder = tmp_path / str(seed)
        folder.mkdir()
        program = export(network, TINY, folder / "out", images=images, base=BASE)
        size = -(-program.end // 4096) * 4096
        with simulated(folder / "out", folder, size, stalls=0.2) as (device, driver):
            driver.load((folder / "out" / "memory.bin").read_bytes())
            for n in range(images):
                values = q[n].astype(np.int16)
                assert driver.put_input(n, pointer(values)) == 0
            assert driver.start(100_000) == 0
            device.wait(10_000_000)
            assert driver.poll() == 0
            out = np.empty(want.shape, np.int16)
            for n in range(images):
                assert driver.get_output(n, pointer(out[n])) == 0
            assert np.array_equal(out, want), what
            assert wrong(program, device, expected) == [], what
        kinds.add((what.split(", ")[1], graph.tensors["in"].affine.signed))
    assert {after for after, _ in kinds} == set(AFTER)
    assert {signed for _, signed in kinds} == {False, True}


@pytest.mark.parametrize("make", [nested_concat, concat_of_the_input])
def test_segments_on_the_simulated_design(make):
    """A start per layer: nothing but tokens orders what shares the global buffer inside one."""
    network, x, expected = quantised(make(), TINY, 2)
    program = compile_network(network, TINY, Options(images=2, base=BASE))
    size = -(-program.end // 4096) * 4096
    with SimDevice(TINY, "cpp", size, stalls=0.1, reply_timeout=120) as device:
        fill(device, size)
        program.load(device)
        program.write_input(device, x)
        for s in program.segments:
            assert run_program(
                device,
                program.program + s.first * COMMAND_BYTES,
                s.count,
                **windows(program),
                watchdog=100_000,
                timeout=10_000_000,
            ).ok
        assert wrong(program, device, expected) == []


# ---- the command -----------------------------------------------------------------------------
def test_compile_command(tmp_path, capsys):
    out = tmp_path / "out"
    assert cli.main(["compile", "--config", "tiny", "-o", str(out), "--base", "0x40000000"]) == 0
    assert "calibrated on 100 images of digits_calibration.npz" in capsys.readouterr().out
    assert sorted(p.name for p in out.iterdir()) == [
        "eyrie.c",
        "eyrie.h",
        "eyrie_tiny.json",
        "eyrie_tiny.v",
        "map.json",
        "memory.bin",
    ]
    assert "module eyrie_tiny(" in (out / "eyrie_tiny.v").read_text()
    before = {p.name: p.read_bytes() for p in out.iterdir()}
    model, held_out = str(MODELS / "lenet5.onnx"), str(MODELS / "digits_heldout.npz")
    for arguments, message in (
        ([str(tmp_path / "none.onnx")], "none.onnx: no such file"),
        ([held_out], "not an ONNX file"),
        ([model], "CALIB: a network of your own needs"),
        ([model, "--calib", str(tmp_path / "none")], "no such file"),
        ([model, "--calib", model], "not an IDX file"),
        (["--config", "none"], "unknown preset"),
        (["--base", "8"], "multiple of 4096"),
        (["--base", "0xFFFFF000"], "addresses have 32 bits"),
        (["--batch", "0"], "batch of 0"),
    ):
        assert cli.main(["compile", "-o", str(out), "--config", "tiny", *arguments]) == 2, arguments
        err = capsys.readouterr().err
        assert err.startswith("eyrie: error: ") and message in err and err.count("\n") == 1
    assert {p.name: p.read_bytes() for p in out.iterdir()} == before and [
        p.name for p in tmp_path.iterdir()
    ] == ["out"]
    assert (
        cli.main(["compile", model, "--images", held_out, "--config", "tiny", "-o", str(out)]) == 0
    )
    assert re.search(
        r"calibrated on the last (\d+) of \d+ images of digits_heldout.npz", capsys.readouterr().out
    )


# ---- what docs/integration.md shows ------------------------------------------------------------
def block(language):
    text = (ROOT / "docs" / "integration.md").read_text()
    return re.search(rf"(?s)```{language}\n(.*?)```", text)[1]


def test_documented_instance_lints(tmp_path):
    config = TINY.replace(name="demo")
    text, sidecar = emit(config)
    named = set(re.findall(r"\.(\w+)\(", block("verilog")))
    assert named == {port["name"] for port in sidecar["ports"]}
    (tmp_path / "soc.v").write_text(text + block("verilog"))
    command, env = verilator_command()
    # Its wires end nowhere; what matters is that every port is there, in its width.
    done = subprocess.run(
        [*command, "--lint-only", "-Wno-fatal", "--top-module", "soc", str(tmp_path / "soc.v")],
        env=env,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0 and not re.search(
        r"Warning-(WIDTH|PIN)[^\n]*\n[^\n]*'soc'|Warning-PIN", done.stderr
    )


def test_documented_use_compiles(lenet, tmp_path):
    (tmp_path / "use.c").write_text(block("c"))
    done = subprocess.run(
        [
            "gcc",
            *FLAGS,
            f"-I{lenet[2]}",
            "-c",
            str(tmp_path / "use.c"),
            "-o",
            str(tmp_path / "use.o"),
        ],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr


def test_documented_registers():
    rows = re.findall(
        r"(?m)^\| (0x[0-9A-F]+(?:, 0x[0-9A-F]+)*) \| ([A-Z_, ]+) \|",
        (ROOT / "docs" / "integration.md").read_text(),
    )
    listed = {
        n: int(o, 0)
        for offsets, names in rows
        for o, n in zip(offsets.split(", "), names.split(", "))
    }
    assert listed == {r.name: int(r) for r in isa.Register}
