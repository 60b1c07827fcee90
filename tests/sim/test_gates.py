"""Gate counts: weights by hand, and what Yosys makes of the PE of `tiny`."""

import json

import pytest

import cli
from hdl.config import PRESETS
from sim import gates
from sim.gates import GatesError, count, read

TINY = PRESETS["tiny"]


def test_weights(tmp_path):
    """Three NAND2, an inverter, a flip-flop: 12 + 2 + 16 transistors; memories have no weight,
    other cells none that is known."""
    path = tmp_path / "cells.json"

    def written(**cells):
        path.write_text(
            json.dumps(
                {
                    "creator": "Yosys 1.2 (x)",
                    "design": {
                        "num_cells_by_type": {f"$_{kind}_": n for kind, n in cells.items()}
                        | {"$mem_v2": 4}
                    },
                }
            )
        )
        return read(TINY, path)

    found = written(NAND=3, NOT=1, DFF_P=1)
    assert (found.transistors, found.nand2, found.memories, found.tool) == (30, 7.5, 4, "Yosys 1.2")
    with pytest.raises(GatesError, match=r"tiny: cells without a weight: \$_MUX_"):
        written(NAND=3, MUX=1)


def test_pe(tmp_path, monkeypatch, capsys):
    """Skipping zeros and wider psums cost gates; a 16-bit multiplier alone has 256 partial
    products."""
    monkeypatch.setattr(gates, "FOLDER", tmp_path)
    assert cli.main(["gates", "--config", "tiny", "--json", str(tmp_path / "g.json")]) == 0
    report = json.loads((tmp_path / "g.json").read_text())
    assert f"{report['nand2']:,.0f} gates" in capsys.readouterr().out
    assert (
        report["config"] == TINY.to_dict()
        and report["nand2"] > 256
        and report["cells"]["$_DFF_P_"] > 32
    )
    less = count(TINY.replace(skip=False, psum_bits=24))
    assert less.nand2 < report["nand2"] and less.cells["$_DFF_P_"] < report["cells"]["$_DFF_P_"]


def test_bad_input(capsys):
    assert cli.main(["gates", "--config", "nothing"]) == 2
    assert "unknown preset" in capsys.readouterr().err
