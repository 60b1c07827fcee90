"""Digests of what a result depends on."""

import pytest

from compiler.networks.layer_tables import NETWORKS
from compiler.studies import map_table
from hdl.config import PRESETS
from hdl.emit.sources import ROOT, closure, fingerprint
from hdl.isa import Mode

FILES = {
    "hdl/__init__.py": "",
    "hdl/lib/__init__.py": "",
    "compiler/__init__.py": "",
    "compiler/a.py": "from compiler import b\nimport numpy\n",
    "compiler/b.py": "def late():\n    from hdl.lib.c import thing\n    return thing\n",
    "hdl/lib/c.py": "from ..d import E\nthing = E\n",
    "hdl/d.py": "E = 1\n",
    "compiler/studies/report.py": "from compiler import a\n",
}


@pytest.fixture
def tree(tmp_path):
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


def digest(tree):
    fingerprint.cache_clear()
    return fingerprint("compiler.a", root=tree)


def test_what_is_followed(tree):
    found = {str(path.relative_to(tree)) for path in closure(("compiler.a",), tree)}
    assert found == set(FILES) - {"compiler/studies/report.py"}


@pytest.mark.parametrize("name", FILES)
def test_a_change(tree, name):
    """Of the module, of what it imports, of what that imports in a function, of a package; of no
    other."""
    before = digest(tree)
    assert digest(tree) == before
    (tree / name).write_text(FILES[name] + "# changed\n")
    assert (digest(tree) != before) == (name != "compiler/studies/report.py")


def test_the_mapper():
    """The search depends on little; a report does not count."""
    fingerprint.cache_clear()
    root = fingerprint.__wrapped__.__kwdefaults__["root"]
    names = {str(path.relative_to(root)) for path in closure(("compiler.mapping.search",), root)}
    assert {"compiler/mapping/search.py", "compiler/mapping/mapping.py", "hdl/config.py"} <= names
    assert (
        not {
            "compiler/studies/report.py",
            "compiler/lowering/emission/conv.py",
            "compiler/quantise/fixed_point.py",
        }
        & names
    )
    with pytest.raises(ValueError, match="no module compiler.nope"):
        closure(("compiler.nope",), root)


def named(*modules):
    """The files that a digest of modules of this project counts."""
    root = fingerprint.__wrapped__.__kwdefaults__["root"]
    return {str(path.relative_to(root)) for path in closure(modules, root)}


def test_the_simulators():
    """Their keys hold the Verilog: no other module of `hdl` counts, nor does a report."""
    assert named("sim.build") == {
        "sim/__init__.py",
        "sim/build.py",
        "hdl/__init__.py",
        "hdl/emit/__init__.py",
        "hdl/emit/files.py",
        "hdl/emit/sources.py",
        "hdl/emit/verilator.py",
    }


def test_the_verilog():
    """All that is elaborated counts, and no simulator, compiler or board."""
    found = named("hdl.emit.verilog")
    assert {"hdl/top.py", "hdl/array/pe/pe.py", "hdl/isa.py", "hdl/lib/marks.py"} <= found
    assert {name.partition("/")[0] for name in found} == {"hdl"}


def test_a_layer_on_the_rtl():
    """What computes the model's figures beside those of the RTL, which follow from Verilog."""
    found = named("compiler.model.cost", "compiler.model.timeline", "compiler.runtime.run")
    assert {
        "compiler/lowering/structures/program.py",
        "compiler/model/timeline.py",
        "golden/conv.py",
    } <= found
    assert (
        not {"compiler/studies/report.py", "hdl/array/pe/pe.py", "sim/bench/bench_table.py"} & found
    )


def test_maps_depend_on_blocks(monkeypatch, tmp_path):
    """The kept mapping of a layer depends on what chooses blocks, and not on a report."""
    seen = []
    monkeypatch.setattr(map_table, "FOLDER", tmp_path)
    monkeypatch.setattr(map_table, "fingerprint", lambda *names: seen.append(names) or "x")
    graph, layer, zeros, _ = map_table.layers_of(NETWORKS["alexnet"])[0]
    map_table.map_layer(graph, layer, zeros, 1, PRESETS["tiny"], Mode.DENSE)
    files = {str(path.relative_to(ROOT)) for path in closure(seen[0], ROOT)}
    assert {"compiler/mapping/layout.py", "compiler/mapping/search.py"} <= files
    assert "compiler/studies/report.py" not in files
