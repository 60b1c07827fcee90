"""Emission: stable text, one module per distinct component, a description beside it."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from amaranth.hdl import DomainRenamer, Module, Signal
from amaranth.lib import memory, stream, wiring
from amaranth.lib.wiring import In, Out

from hdl.config import PRESETS, Config
from hdl.emit import verilog
from hdl.emit.verilog import LintError, describe, emit, lint, snake, write, yosys_check

ROOT = Path(__file__).resolve().parents[3]


class Cell(wiring.Component):
    """One of a chain; `width` changes its body."""

    def __init__(self, width=16):
        self.width = width
        super().__init__({"i": In(width), "o": Out(width), "busy": Out(1)})

    def elaborate(self, platform):
        m = Module()
        m.submodules.store = store = memory.Memory(shape=self.width, depth=16, init=[])
        write, read = store.write_port(), store.read_port()
        m.d.comb += [
            write.addr.eq(self.i[:4]),
            write.data.eq(self.i),
            write.en.eq(self.i[-1]),
            read.addr.eq(self.i[4:8]),
            read.en.eq(1),
        ]
        with m.If(self.i[0]):
            m.d.sync += self.o.eq(read.data + self.i)
        m.d.comb += self.busy.eq(self.o != 0)
        return m


class Pair(wiring.Component):
    i: In(16)
    o: Out(16)

    def elaborate(self, platform):
        m = Module()
        m.submodules.first = first = Cell()
        m.submodules.second = second = Cell()
        m.d.comb += [first.i.eq(self.i), second.i.eq(first.o), self.o.eq(second.o)]
        return m


class Chain(wiring.Component):
    """Four pairs; the first has a constant input and only the last one's output is used."""

    i: In(16)
    o: Out(16)
    wide: Out(24)

    def elaborate(self, platform):
        m = Module()
        last = 5
        for n in range(4):
            m.submodules[f"pair_{n}"] = pair = Pair()
            m.d.comb += pair.i.eq(last ^ self.i if n == 2 else last)
            last = pair.o
        m.submodules.odd = odd = Cell(24)
        m.d.comb += [odd.i.eq(last), self.wide.eq(odd.o), self.o.eq(last)]
        return m


class Leaky(wiring.Component):
    """Its parent reads a signal inside of it."""

    i: In(8)
    o: Out(8)

    def __init__(self):
        super().__init__()
        self.inside = Signal(8)

    def elaborate(self, platform):
        m = Module()
        m.d.sync += self.inside.eq(self.i)
        m.d.comb += self.o.eq(self.inside + 1)
        return m


def modules(sidecar):
    return {m["name"]: m["instances"] for m in sidecar["modules"]}


def test_identical_bodies_are_one_module():
    text, sidecar = emit(Chain())
    assert modules(sidecar) == {"eyrie_chain": 1, "pair": 4, "cell": 8, "cell_1": 1}
    assert text.count("\nmodule ") == 4
    assert text.count("  pair pair_") == 4


def test_ports_are_those_of_the_signature():
    text, sidecar = emit(Chain(), "top")
    assert sidecar["top"] == "top"
    assert {p["name"]: (p["direction"], p["width"]) for p in sidecar["ports"]} == {
        "i": ("input", 16),
        "o": ("output", 16),
        "wide": ("output", 24),
        "clk": ("input", 1),
        "rst": ("input", 1),
    }
    assert "module pair(" in text
    json.dumps(sidecar)


class Taken(wiring.Component):
    """A stream that never waits: its `ready` is a constant."""

    words: In(stream.Signature(8, always_ready=True))
    o: Out(8)

    def elaborate(self, platform):
        m = Module()
        with m.If(self.words.valid):
            m.d.sync += self.o.eq(self.words.payload)
        return m


def test_constants_of_a_signature_are_no_ports():
    """And keep a component from being a module no more."""

    class Two(wiring.Component):
        i: In(8)
        o: Out(8).array(2)

        def elaborate(self, platform):
            m = Module()
            for n in range(2):
                m.submodules[f"taken_{n}"] = taken = Taken()
                m.d.comb += [
                    taken.words.valid.eq(1),
                    taken.words.payload.eq(self.i),
                    self.o[n].eq(taken.o),
                ]
            return m

    text, _ = emit(Two())
    assert text.count("module taken(") == 1 and len(re.findall(r"^  taken taken_", text, re.M)) == 2
    assert "words__valid" in text and "words__ready" not in text


@pytest.mark.parametrize("name", ["tiny", "ecp5-85"])
def test_no_process_waits_for_a_constant(name):
    """`always @*` of a constant never runs."""
    text, _ = emit(Config.load(name))
    assert not re.findall(r"always @\*\n +[^\n]+ = \d+'\w+;", text)


def test_signals_used_from_outside_are_kept():
    class Parent(wiring.Component):
        i: In(8)
        o: Out(8)

        def elaborate(self, platform):
            m = Module()
            m.submodules.leaky = leaky = Leaky()
            m.d.comb += [leaky.i.eq(self.i), self.o.eq(leaky.inside)]
            return m

    text, _ = emit(Parent())
    top = text[text.index("module eyrie_parent") :]
    assert ".\\inside (" in top[: top.index("endmodule")]


def test_other_clock_domains():
    class Simple(wiring.Component):
        i: In(16)
        o: Out(16)

        def elaborate(self, platform):
            m = Module()
            inner = Cell()
            m.submodules.cell = DomainRenamer("fast")(inner)
            m.d.comb += [inner.i.eq(self.i), self.o.eq(inner.o)]
            return m

    text, sidecar = emit(Simple())
    assert {"fast_clk", "fast_rst"} < {p["name"] for p in sidecar["ports"]}
    assert ".fast_clk(fast_clk)" in text


def test_same_text_in_every_process():
    script = (
        "from tests.hdl.emit.test_verilog import Chain, emit; import json;"
        "t, s = emit(Chain()); print(t + json.dumps(s))"
    )
    texts = {
        subprocess.run(
            [sys.executable, "-c", script],
            cwd=ROOT,
            check=True,
            capture_output=True,
            env={**os.environ, "PYTHONHASHSEED": seed},
        ).stdout
        for seed in ("0", "1", "77")
    }
    assert len(texts) == 1
    assert str(ROOT).encode() not in texts.pop()


def test_no_paths_and_no_tool_names():
    text, _ = emit(Chain())
    for word in ("/" + "work", ".py", "src =", "$auto", "amaranth", str(ROOT)):
        assert word not in text


def test_tools_accept_it(tmp_path):
    path, sidecar = write(Chain(), tmp_path / "chain")
    top = json.loads(sidecar.read_text())["top"]
    lint(path, top)
    yosys_check(path, top)


def test_tools_refuse_what_is_wrong(tmp_path):
    path = tmp_path / "bad.v"
    path.write_text(
        "module bad(output o);\n  wire w;\n  assign o = w;\n  nothing n();\nendmodule\n"
    )
    with pytest.raises(LintError, match="nothing"):
        lint(path, "bad")
    with pytest.raises(LintError, match="nothing"):
        yosys_check(path, "bad")


def test_accelerator_is_kept(monkeypatch):
    """Its Verilog is made once and read again by the next process; another configuration's is
    made."""
    first = emit(PRESETS["tiny"])
    verilog._accelerator.cache_clear()

    def made(*_):
        raise AssertionError("made again")

    monkeypatch.setattr("hdl.top.Accelerator", made)
    assert emit(PRESETS["tiny"]) == first
    with pytest.raises(AssertionError, match="made again"):
        emit(PRESETS["tiny"].replace(name="tinier", queue_depth=PRESETS["tiny"].queue_depth * 2))
    assert first[0].count("module ") > 20 and first[1]["config"] == PRESETS["tiny"].to_dict()


def test_description():
    d = describe(PRESETS["tiny"])
    assert d["config"]["rows"] == 2
    load = next(c for c in d["commands"] if c["name"] == "LOAD")
    assert load["fields"][0] == {"name": "dram", "offset": 64, "width": 32, "signed": False}
    assert d["counters"][1] == {"name": "macs", "offset": 0x108, "width": 64}
    json.dumps(d)


def test_snake():
    assert [snake(n) for n in ("PE", "GlbBank", "AXIReader", "Fifo2")] == [
        "pe",
        "glb_bank",
        "axi_reader",
        "fifo2",
    ]
