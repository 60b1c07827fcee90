"""What Yosys makes of an accelerator for an ECP5, simulated with models of its cells, against
RTL and golden."""

import subprocess

import pytest

from fpga.netlist import cells, netlist
from hdl.config import BOARD_PRESETS
from sim.build import harness
from sim.device import SimDevice
from tests.device.devices import check_network
from tests.layers import draw

MINIMAL = BOARD_PRESETS["minimal"]
SMALL = MINIMAL.replace(
    name="minimal-small",
    rlc=False,
    store_lanes=1,
    address_bits=24,
    glb_pairs=1,
    glb_depth=128,
    input_lanes=1,
    ifmap_fifo=0,
)

SIMD = SMALL.replace(name="minimal-simd", simd=2)


@pytest.mark.parametrize("config", [MINIMAL, SMALL, SIMD], ids=["minimal", "small", "simd"])
def test_layers_on_the_netlist(config, request, capsys):
    """The same layers take the same cycles and count the same; every tensor equals golden."""
    if not request.config.getoption("--netlist"):
        pytest.skip("--netlist: make netlist runs it, in some minutes")
    text, top, count = netlist(config)
    assert (
        count["MULT18X18D"] >= config.multipliers
        and count["DP16KD"] >= config.pes
        and count["LUT4"] > 5000
    )
    cycles = 0
    with (
        SimDevice(config, "cpp", 16 << 20) as rtl,
        SimDevice(config, "cpp", 16 << 20, verilog=(text, top)) as mapped,
    ):
        for seed in (0, 5, 11, 12):
            stratum, _, network, images = draw(seed)
            for stalls in (0.0, 0.3):
                ran = []
                for device in (rtl, mapped):
                    device.stall(stalls)
                    device.reset()
                    ran.append(check_network(device, network, images)[1])
                # the stalls are drawn as time passes, from the start of the simulation
                if not stalls:
                    assert ran[0] == ran[1], (seed, stratum)
                cycles += ran[1]["layer"]["cycles"]
    with capsys.disabled():
        print(
            f"\n{config.name}: {cycles:,} cycles of a netlist of {sum(count.values()):,} cells: "
            f"{count}"
        )


@pytest.mark.parametrize(
    "instance, said",
    [
        ('TRELLIS_FF #(.CLKMUX("INV")) x (.CLK(c))', "TRELLIS_FF: not modelled"),
        ("DP16KD #(.DATA_WIDTH_A(9)) x (.CLKA(c))", "DP16KD: not modelled"),
        ("DP16KD #(.INITVAL_07(1)) x (.CLKA(c))", "DP16KD: not modelled"),
        ('MULT18X18D #(.REG_OUTPUT_CLK("CLK0")) x (.CLK0(c))', "MULT18X18D: not modelled"),
    ],
)
def test_what_is_not_modelled_stops(tmp_path, instance, said):
    """A cell in a mode that the models lack ends the simulation instead of acting as another."""
    main = tmp_path / "main.cpp"
    main.write_text(
        '#include "Vtop.h"\nint main() { Vtop top; top.c = 0; top.eval(); return 0; }\n'
    )
    built = harness(cells() + f"\nmodule t(input c); {instance}; endmodule\n", "t", [main])
    done = subprocess.run([built / "simulator"], capture_output=True, text=True)
    assert done.returncode and said in done.stdout + done.stderr
