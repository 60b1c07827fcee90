"""Every preset becomes Verilog that stands alone."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import cli
from hdl.config import CHIP_STORAGE_BYTES, PRESETS
from hdl.emit.verilog import emit

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.sampled(4)
@pytest.mark.parametrize("preset", PRESETS)
def test_verilog_lints_and_checks(preset, tmp_path, capsys):
    """Verilator -Wall and Yosys `hierarchy -check; proc; check -assert`, through the command."""
    config = PRESETS[preset]
    if preset == "eie64":  # Yosys takes minutes to clear its weights word by word
        config = config.replace(sparse_words=256, sparse_pointers=256)
    file = tmp_path / "config.json"
    file.write_text(json.dumps(config.to_dict()))
    assert cli.main(["verilog", "--config", str(file), "--output", str(tmp_path), "--lint"]) == 0
    assert "no complaints" in capsys.readouterr().out
    text = (tmp_path / f"{preset}.v").read_text()
    sidecar = json.loads((tmp_path / f"{preset}.json").read_text())
    count = {m["name"]: m["instances"] for m in sidecar["modules"]}
    assert count["processing_element"] == config.pes and count["pe_row"] == config.rows
    assert count["glb_bank"] == 2 * config.glb_pairs
    assert text.count("\nmodule processing_element(") == 1
    assert str(ROOT.parent) not in text and "/home" not in text and "site-packages" not in text
    assert {p["name"] for p in sidecar["ports"]} >= {
        "clk",
        "rst",
        "interrupt",
        "m_axi_awaddr",
        "s_axi_rdata",
    }


def test_verilog_is_the_same_from_run_to_run():
    """Made anew, with another order of sets: `emit` keeps what a Config gives, not what a
    component does."""
    code = """import json
from hdl.config import PRESETS
from hdl.top import Accelerator
from hdl.emit.verilog import emit
print(json.dumps(emit(Accelerator(PRESETS["tiny"]))))"""
    made = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env=os.environ | {"PYTHONHASHSEED": "1"},
        check=True,
        capture_output=True,
    )
    assert json.loads(made.stdout) == list(emit(PRESETS["tiny"]))


def test_eyeriss_fits_the_chips_storage():
    config = PRESETS["eyeriss"]
    assert (config.rows, config.columns) == (12, 14)
    assert config.storage_bytes <= CHIP_STORAGE_BYTES == 181.5 * 1024
