"""Accesses by formula against those counted in the commands (which equal the RTL's counters), on
LeNet-5."""

import pytest

from compiler.networks.layer_tables import NETWORKS
from compiler.studies import map_table
from compiler.studies.costs import Costs
from compiler.studies.energy import layer_energy
from compiler.studies.map_table import layers_of, map_layer
from hdl.config import PRESETS
from hdl.isa import Mode

# What has no remainders and no run-length code in it is the same, to the word.
EQUAL = (
    *(("spad", kind) for kind in ("ifmap", "filter", "psum")),
    ("network", "filter"),
    ("network", "psum"),
    ("glb", "filter"),
    ("glb", "psum"),
    ("dram", "filter"),
    ("dram", "psum"),
)


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.setattr(map_table, "FOLDER", tmp_path)


def both(preset, mode, part, share=0.5):
    """(by formula, by the commands) of each layer, half of the entries zero."""
    for graph, layer, _, _ in layers_of(NETWORKS["lenet5"], part):
        rows = [
            map_layer(
                graph,
                layer,
                {"in": share, "out": share},
                2,
                PRESETS[preset],
                mode,
                commands=commands,
            )
            for commands in (False, True)
        ]
        assert rows[0].mapping == rows[1].mapping and rows[0].cycles == rows[1].cycles
        yield rows


@pytest.mark.parametrize("preset", ["tiny", "demo"])
def test_dense(preset):
    """To the word, but for ifmaps on the network: a word more where one straddles what it
    carries."""
    for rough, counted in both(preset, Mode.DENSE, "all"):
        for level, kind in EQUAL:
            assert rough.accesses[level][kind] == counted.accesses[level][kind], (
                rough.name,
                level,
                kind,
            )
        words, known = (r.accesses["network"]["ifmap"]["word"] for r in (rough, counted))
        assert 0.98 * known < words <= known or rough.name.startswith("FC")


@pytest.mark.parametrize(
    "preset, mode", [("tiny", Mode.SKIP), ("tiny", Mode.GATE), ("demo", Mode.GATE)]
)
def test_zeros(preset, mode):
    """Convolutions: MACs that are done within 5 %, as zeros are drawn, about half of all; the whole
    energy within 10 %, that of the spads within 5 %."""
    costs = Costs.load("eyeriss_65nm")
    for rough, counted in both(preset, mode, "conv"):
        done, known = (r.accesses["spad"]["filter"]["read"] for r in (rough, counted))
        assert done == pytest.approx(known, rel=0.05) and done < 0.65 * rough.macs
        energies = [layer_energy("", r.macs, r.accesses, 32, costs) for r in (rough, counted)]
        assert energies[0].total == pytest.approx(energies[1].total, rel=0.10), rough.name
        assert energies[0].level("spad") == pytest.approx(energies[1].level("spad"), rel=0.05)
