"""The counter counts what it says, on small sources."""

import ast
import json

import pytest

from tests.tools import house
from tests.tools.choices import bool_fields, count, count_all

COMPONENT = """
class Part(wiring.Component):
    def __init__(self, config: Config, wide: bool = False, lanes: int = 4):
        if lanes not in (1, 4):
            raise ValueError("lanes")
        self.config, self.wide, self.lanes = config, wide, lanes
        super().__init__({"out": Out(4)})

    def elaborate(self, platform):
        m = Module()
        c = self.config
        kept = Signal(c.depth)
"""


def counted(*lines):
    """(tests, kinds) of an `elaborate` with these lines."""
    body = "".join(f"        {line}\n" for line in lines)
    found = count(COMPONENT + body + "        return m\n", flags={"rlc", "registered"})
    assert sum(found.kinds.values()) == found.tests == found.units.get("Part", (0, 0))[1]
    return found.tests, set(found.kinds)


@pytest.mark.parametrize(
    "line, kind",
    [
        ("if c.rlc: pass", "if"),
        ("if self.lanes == 1: pass", "if"),
        ("if not self.config.registered: pass", "if"),
        ("width = 2 if self.wide else 1", "ternary"),
        ("m.d['sync' if c.registered else 'comb'] += kept.eq(1)", "ternary"),
        ("event = m.d.sync if c.registered else m.d.comb", "ternary"),
        ("part = self._a(m) if c.registered else self._b(m)", "ternary"),
        ("while self.lanes > 1: pass", "while"),
        ("names = [n for n in 'abc' if self.wide]", "comprehension"),
        ("m.d.comb += kept.eq(self.wide and kept)", "and/or"),
        ("kind = {True: Fifo, False: Stage}[self.wide]", "look-up"),
        ("kind = (Fifo, Stage)[self.wide]", "look-up"),
        ("kind = {1: Fifo, 4: Stage}.get(self.lanes)", "look-up"),
        ("parts = whole[self.wide:]", "look-up"),
        ("extra = [kept] * c.registered", "arithmetic"),
        ("valid = Signal(3 + c.registered)", "arithmetic"),
        ("m.d.comb += kept.eq(kept & (self.lanes == 1))", "arithmetic"),
        ("for _ in range(self.wide): pass", "arithmetic"),
        ("port = getattr(self, f'port_{self.lanes}')", "getattr"),
        ("m.d[self.config.domain] += kept.eq(1)", "domain"),
        ("part = DomainRenamer(c.domain)(Fifo())", "domain"),
        ("if platform is None: pass", "if"),
    ],
)
def test_a_test_of_the_configuration(line, kind):
    assert counted(line) == (1, {kind})


@pytest.mark.parametrize(
    "lines",
    [
        ["with m.If(kept): pass", "with m.Elif(kept == c.depth): pass"],
        ["with m.Switch(kept):", "    with m.Case(c.depth): pass"],
        [
            "m.d.comb += kept.eq(Mux(kept, c.depth, self.lanes))",
            "m.d.sync += kept.eq(kept + c.depth)",
        ],
        ["for n in range(c.depth):", "    if n == 0: pass"],
        ["ends = [1 if half == 0 else 2 for half in range(2)]"],
        ["m.submodules.part = Fifo(self.wide)", "assert c.depth"],
        ["m.d.comb += kept.eq(self.wide)", "m.d.sync += self.out.eq(table[kept])"],
    ],
)
def test_no_test_of_the_configuration(lines):
    assert counted(*lines) == (0, set())


@pytest.mark.parametrize(
    "number, lines",
    [
        (2, ["if c.rlc and self.lanes == 1: pass"]),
        (2, ["if c.rlc: pass", "elif self.wide: pass", "else: pass"]),
        (1, ["match self.lanes:", "    case 1: pass", "    case 4: pass"]),
        (1, ["single = self.lanes == 1", "if single: pass"]),
        (2, ["spare = None", "if c.rlc:", "    spare = Fifo()", "if spare is not None: pass"]),
        (1, ["def inner(word):", "    if self.wide: pass", "inner(kept)"]),
        (1, ["def inner(word, flag):", "    if flag: pass", "inner(kept, self.wide)"]),
        (1, ["for name, built in (('a', c.rlc), ('b', True)):", "    if built: pass"]),
        (1, ["for n in range(c.depth):", "    if n < self.lanes: pass"]),
        (1, ["domain = 'sync'", "kept_in = m.d[domain]"]),
    ],
)
def test_number_of_tests(number, lines):
    assert counted(*lines)[0] == number


def test_what_only_validates_does_not_count():
    choose = COMPONENT.replace('raise ValueError("lanes")', "lanes = 1")
    assert count(COMPONENT).tests == 0
    assert count(choose).units == {"Part": (1, 0)}


def test_helpers_count_and_software_does_not():
    helper = "def cut(m, wanted: bool, source):\n    return source if wanted else Fifo(m)\n"
    assert count(helper).units == {"": (1, 0)}
    words = "def word(config):\n    return wide(config) if config.lanes == 4 else one(config)\n"
    assert count(words).tests == 1
    assert count(words, "hdl.emit.verilog").tests == 0
    assert count("from amaranth.back import rtlil\n" + words).tests == 0
    plain = "class Config:\n    def size(self):\n        return 1 if self.rlc else 2\n"
    assert count(plain).tests == 0


def test_flags_of_other_modules():
    config = "class Config:\n    rlc: bool = True\n    depth: int = 4\n"
    part = COMPONENT + "        return m, [1] * c.rlc, [1] * c.depth, cut(m, self.wide, kept)\n"
    found = count_all({"hdl.config": config, "hdl.part": part})
    assert [found[name].tests for name in ("hdl.config", "hdl.part")] == [0, 1]
    assert found["hdl.part"].passed == 1
    whole = COMPONENT + "        part = Part(c)\n        return 1 if part.wide else 2\n"
    assert count_all({"hdl.part": COMPONENT, "hdl.whole": whole})["hdl.whole"].tests == 1


def test_figures_of_a_file():
    text = (
        "class Part:\n    def elaborate(self, platform):\n        a.eq(1)\n\n"
        "        def inner():\n"
        "            b.eq(2)\n" + "        # rest\n" * 74 + "        return a.eq\n"
    )
    row = house.measure(text + "\n" + "x" * 101 + "\n" + "y" * 100 + "\n")
    assert row["long_functions"] == {} and row["longest"] == 80
    assert row["longest_name"] == "Part.elaborate" and row["assignments"] == {"Part": 2}
    assert (row["lines"], row["blank"], row["long_lines"], row["elaborate_blank"]) == (84, 2, 1, 1)
    longer = house.measure(text.replace("        # rest\n", "        # rest\n\n", 1))
    assert longer["long_functions"] == {"Part.elaborate": 81}


def test_circles_are_found():
    texts = {
        "hdl/a.py": "from .lib.b import B\n",
        "hdl/lib/__init__.py": "",
        "hdl/lib/b.py": "def f():\n    from ..c import C\n",
        "hdl/c.py": "import hdl.a\n",
        "hdl/d.py": "from . import a\n",
    }
    found = house.measure_imports(texts)
    assert found["circles"] == [["hdl.a", "hdl.c", "hdl.lib.b"]]
    assert found["folder_circles"] == [["hdl.a", "hdl.c", "hdl.lib"]]
    texts["hdl/lib/b.py"] = "from amaranth.hdl import C\n"
    assert house.measure_imports(texts)["circles"] == []


@pytest.mark.parametrize(
    "path, text, found",
    [
        ("hdl/lib/fifo.py", "from hdl.array.pe import P", ["hdl.lib.fifo > hdl.array.pe"]),
        ("hdl/buffer/bank.py", "from ..array import pe", ["hdl.buffer.bank > hdl.array.pe"]),
        ("hdl/isa.py", "from . import core", ["hdl.isa > hdl.core"]),
        ("hdl/isa.py", "from . import config", []),
        ("hdl/array/row.py", "from .pe import P", []),
        ("hdl/core.py", "from .array.pe import P", []),
        ("hdl/odd.py", "from .core import Core", []),
        ("golden/conv.py", "import hdl.config", ["golden.conv > hdl.config"]),
        ("compiler/graph.py", "from . import export", ["compiler.graph > compiler.export"]),
        ("compiler/model/cost.py", "from hdl.core import Core", ["compiler.model.cost > hdl.core"]),
    ],
)
def test_upward_imports(path, text, found):
    others = ("hdl/config.py", "hdl/core.py", "hdl/array/pe.py", "compiler/export.py")
    assert house.measure_imports({**dict.fromkeys(others, ""), path: text})["upward"] == found


def test_room_of_the_formats():
    room = house.free_room(house.sources())
    masks = room["semaphores"]
    assert masks["in_masks"] >= masks["built"] >= masks["named"]
    assert masks["free"] == masks["in_masks"] - masks["named"] >= 8
    assert min(room["command_free_bits"].values()) >= 0 and room["header_reserved_bits"] >= 0
    assert room["storage"]["eyeriss"]["left"] >= 0 and "left" not in room["storage"]["demo"]


def test_command(tmp_path, capsys, monkeypatch):
    first, second = tmp_path / "first.json", tmp_path / "second.json"
    taken = house.take_stock()
    monkeypatch.setattr(house, "take_stock", lambda: taken)
    assert house.main(["--json", str(first), "--files"]) == 0
    stock = json.loads(first.read_text())
    whole = stock["whole"]
    assert whole["all"]["lines"] == sum(whole[top]["lines"] for top in house.TOP)
    assert "tests/tools/house.py" in stock["files"]
    assert not any("__pycache__" in path for path in (*stock["files"], *stock["folders"]))
    shown = capsys.readouterr().out
    assert "before" not in shown and "tests/tools/house.py" in shown

    whole["hdl"]["lines"] += 12345
    second.write_text(json.dumps(stock))
    assert house.main(["--against", str(second)]) == 0
    shown = capsys.readouterr().out
    assert "before" in shown and f"{whole['hdl']['lines']:,}" in shown
    assert house.main(["--against", str(tmp_path / "none")]) == 2
    assert capsys.readouterr().err.startswith("house: error: ")


def test_flags_are_bools():
    text = (
        "class A:\n    a: bool\n    b: int\n\n"
        "    @property\n    def c(self) -> bool:\n        return 1\n"
    )
    assert bool_fields([ast.parse(text)]) == {"a", "c"}
