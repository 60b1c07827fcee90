"""Stored memory images: Huffman-coded streams in an export, decoded to the image that the device
needs."""

import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import cli
from compiler.export.export import ExportError, export, read_memory
from compiler.frontend.images import read_images
from compiler.frontend.onnx_import import load
from compiler.lowering.compile import compile_network
from compiler.quantise.fixed_point import golden_run, quantise, quantise_input
from compiler.runtime.device import run_program
from compiler.runtime.interpreter import Interpreter
from compiler.sparse.stored import Kind, StoredError, Table, pack, unpack
from hdl.config import PRESETS
from tests.data import ROOT

MODELS = ROOT / "compiler" / "models"
DEMO = PRESETS["demo"]


def image(seed, sizes=((3, 40), (2, 64))):
    """(bytes, tables): plain bytes around tables of entries and pointers."""
    rng = np.random.default_rng(seed)
    parts, tables, at = [rng.bytes(24)], [], 24
    for pes, words in sizes:
        entries = rng.choice(
            [0, 0xF0, 0x11, 0x21, 0x03], (pes, 8 * words), p=[0.1, 0.1, 0.4, 0.3, 0.1]
        ).astype(np.uint8)
        pointers = np.cumsum(rng.integers(0, 3, (pes, 2 * words)), axis=1).astype("<u4")
        pointers -= pointers[:, :1]
        for kind, raw in ((Kind.ENTRIES, entries), (Kind.POINTERS, pointers)):
            tables.append(Table(kind, at, raw.nbytes, raw.nbytes // pes))
            parts.append(raw.tobytes())
            at += raw.nbytes
        parts.append(rng.bytes(16))
        at += 16
    return b"".join(parts), tables


@pytest.mark.parametrize("sizes", [(), ((1, 1),), ((3, 40), (2, 64)), ((64, 30),)])
def test_round_trip(sizes):
    raw, tables = image(1, sizes)
    for given_tables in (tables, tables[::-1], []):
        assert unpack(pack(raw, given_tables)) == raw
    assert unpack(pack(b"", [])) == b""
    if sizes and sizes[0][0] > 1:
        assert len(pack(raw, tables)) < 0.5 * len(raw)
    assert len(pack(raw, [])) == len(raw) + 4 + 16 + 4


def test_damage_is_refused():
    raw, tables = image(2, ((2, 20),))
    data = pack(raw, tables)
    for bit in range(8 * len(data)):
        damaged = bytearray(data)
        damaged[bit // 8] ^= 1 << bit % 8
        with pytest.raises(StoredError, match="checksum" if bit >= 32 else "byte 0"):
            unpack(bytes(damaged))
    for size in range(len(data)):
        with pytest.raises(StoredError, match="byte"):
            unpack(data[:size])


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_wrong_files_with_a_right_checksum(data):
    """StoredError or bytes, whatever the parts hold."""
    raw, tables = image(3, ((1, 12),))
    content = bytearray(pack(raw, tables)[:-4])
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(4, len(content) - 1))] = data.draw(st.integers(0, 255))
    del content[data.draw(st.integers(max(4, len(content) - 40), len(content))) :]
    try:
        assert isinstance(unpack(bytes(content) + zlib.crc32(content).to_bytes(4, "little")), bytes)
    except StoredError as e:
        assert "byte" in str(e)


@pytest.fixture(scope="module")
def network():
    graph = load(MODELS / "lenet5_pruned.onnx")
    images = read_images(MODELS / "digits_calibration.npz", graph.tensors[graph.input].shape)
    return quantise(graph, images, psum_bits=DEMO.psum_bits), images[:2]


def test_tables_are_the_streams(network):
    """Every table of a program has the entries and pointers of a block, and their files are
    smaller."""
    program = compile_network(network[0], DEMO)
    blocks = [
        block
        for s in program.segments
        if s.sparse
        for band in s.sparse.bands
        for block in band.blocks
    ]
    assert [t.kind for t in program.tables] == [Kind.ENTRIES, Kind.POINTERS] * len(blocks)
    for t, block in zip(program.tables[::2], blocks):
        for pe, entries in enumerate(block.compressed.entries):
            at = t.start + pe * t.each
            assert program.constants[at : at + len(entries)] == entries.tobytes()
    streams = sum(t.size for t in program.tables)
    data = pack(program.memory, program.tables)
    assert unpack(data) == program.memory and len(program.memory) - len(data) > 0.5 * streams


def test_exported_and_decoded(network, tmp_path):
    """An export with coded streams holds the image of one without, and it runs."""
    network, images = network
    program = export(network, DEMO, tmp_path / "plain", images=2)
    export(network, DEMO, tmp_path / "coded", images=2, huffman=True)
    memory = read_memory(tmp_path / "coded")
    assert (
        memory
        == read_memory(tmp_path / "plain")
        == (tmp_path / "plain" / "memory.bin").read_bytes()
    )
    assert not (tmp_path / "coded" / "memory.bin").exists()
    device = Interpreter(DEMO, program.end)
    device.write(program.constant, memory)
    x = quantise_input(network, images)
    program.write_input(device, x)
    assert run_program(
        device,
        program.program,
        program.command_count,
        read_window=(program.base, program.end),
        write_window=(program.base, program.constant),
    ).ok
    np.testing.assert_array_equal(
        program.read_tensor(device, program.graph.output),
        golden_run(network, x).tensors[program.graph.output],
    )
    stored = tmp_path / "coded" / "memory.huff"
    stored.write_bytes(stored.read_bytes()[:-1])
    for folder, message in (("coded", "memory.huff: byte"), ("none", "No such file")):
        with pytest.raises((ExportError, OSError), match=message):
            read_memory(tmp_path / folder)
    (tmp_path / "plain" / "memory.bin").write_bytes(b"short")
    with pytest.raises(ExportError, match="5 bytes of memory"):
        read_memory(tmp_path / "plain")


def test_commands(tmp_path, capsys):
    model, digits = str(MODELS / "lenet5_pruned.onnx"), str(MODELS / "digits_calibration.npz")
    for name, options in (("plain", []), ("coded", ["--huffman"])):
        assert (
            cli.main(["compile", model, "--calib", digits, "-o", str(tmp_path / name), *options])
            == 0
        )
    out = capsys.readouterr().out
    sizes = [(tmp_path / name).stat().st_size for name in ("coded/memory.huff", "plain/memory.bin")]
    assert f"memory.huff: {sizes[0]:,} bytes for {sizes[1]:,}" in out and sizes[0] < sizes[1]
    for name in ("plain", "coded"):
        assert cli.main(["unpack", str(tmp_path / name), "-o", str(tmp_path / "image")]) == 0
        assert (tmp_path / "image").read_bytes() == (tmp_path / "plain" / "memory.bin").read_bytes()
    capsys.readouterr()
    (tmp_path / "coded" / "map.json").write_text("{}")
    assert cli.main(["unpack", str(tmp_path / "coded"), "-o", str(tmp_path / "new")]) == 2
    assert (
        "map.json: not of an export" in capsys.readouterr().err and not (tmp_path / "new").exists()
    )
