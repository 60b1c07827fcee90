"""What a component costs on an ECP5, and how fast it is.

python -m fpga.flow.area COMPONENT [field=value ...]   one, its parts, and its critical path
python -m fpga.flow.area [field=value ...]             a line for each
The fields are those of hdl/config.py, changed from preset `ecp5-45`; `preset=NAME` takes another.
`route=false` stops
after synthesis and says which paths are long, by estimate (fpga/flow/estimate.py).
"""

import hashlib
import json
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

from amaranth._toolchain import tool_env_var
from amaranth.hdl import Cat, ClockDomain, Elaboratable, Module, Signal, Value
from amaranth.lib import io
from amaranth.lib.wiring import In
from amaranth_boards.ulx3s import ULX3S_85F_Platform

from fpga.flow import estimate
from fpga.flow.build import options
from fpga.flow.cells import by_component, count, owners
from fpga.flow.tools import environment, version
from fpga.memory.arbiter import Arbiter
from fpga.memory.sdram.sdram import Sdram
from fpga.memory.sdram.sdram_timing import PARTS
from fpga.pll import Ecp5Pll
from fpga.serial.bridge.bridge import Bridge
from fpga.serial.link import Link
from fpga.serial.protocol import RECEIVE_FIFO, VERSION, Identity, configuration_hash
from hdl.array.chain import ProcessingArray
from hdl.array.pe.pe import ProcessingElement
from hdl.buffer.global_buffer import GlobalBuffer
from hdl.config import Config
from hdl.control.fetch.fetch import Fetch
from hdl.control.issue import Issue
from hdl.control.registers.control import Control
from hdl.control.semaphores import Semaphores
from hdl.control.words import engines
from hdl.emit.files import BUILD, write_atomic
from hdl.emit.sources import fingerprint
from hdl.lib.arithmetic.operand_scaler import OperandScaler
from hdl.lib.arithmetic.requantise import Requantise
from hdl.lib.arithmetic.scaler import Scaler
from hdl.lib.axi import BurstSplitter, Window
from hdl.memory.arbiter import ReadArbiter
from hdl.memory.load.decoder import RlcDecoder
from hdl.memory.load.lengths import LengthReader
from hdl.memory.load.load import Load
from hdl.memory.store.encoder import RlcEncoder
from hdl.memory.store.packer import Packer
from hdl.memory.store.pooler import Pooler
from hdl.memory.store.slots import SlotWriter
from hdl.memory.store.store import Store
from hdl.memory.store.strips import StripWalker
from hdl.memory.store.taps.reader import TapReader
from hdl.sequencers.filter import FilterSequencer
from hdl.sequencers.ifmap import IfmapSequencer
from hdl.sequencers.ofmap import OfmapSequencer
from hdl.sequencers.psum import PsumSequencer
from hdl.sparse.engine.engine import SparseEngine
from hdl.sparse.fill.fill import SparseFiller
from hdl.sparse.pe.pe import SparsePe
from hdl.sparse.stream.fetch import ColumnFetcher
from hdl.sparse.stream.spread import RecordSpreader

TOOLS = ("yosys", "nextpnr-ecp5")
CLOCK_HZ = 200_000_000  # asked for, so that routing does not stop at less than there is
BOARD_HZ, BAUD, PART = 50_000_000, 3_000_000, "32MB-7"


def _bridge(config: Config) -> Bridge:
    size = PARTS[PART].size
    return Bridge(
        Identity(VERSION, RECEIVE_FIFO, configuration_hash(config), size, BOARD_HZ, config.name)
    )


# What can be measured, by name; a queue is that of its engine.
COMPONENTS = {
    "pe": ProcessingElement,
    "array": ProcessingArray,
    "store": lambda c: Store(
        c.glb_entry_bits, address=c.address_bits, lanes=c.store_lanes, rlc=c.rlc
    ),
    "strips": lambda c: StripWalker(
        c.glb_entry_bits, address=c.address_bits, lanes=c.store_lanes, rlc=c.rlc
    ),
    "taps": lambda c: TapReader(c.glb_entry_bits, c.store_lanes),
    "pool": lambda c: Pooler(c.store_lanes),
    "packer": lambda c: Packer(c.store_lanes),
    "encoder": lambda c: RlcEncoder(),
    "slots": lambda c: SlotWriter(),
    "load": lambda c: Load(address=c.address_bits, rlc=c.rlc),
    "lengths": lambda c: LengthReader(c.address_bits),
    "decoder": lambda c: RlcDecoder(),
    "glb": GlobalBuffer,
    "fetch": Fetch,
    "control": lambda c: Control(c, 1 + len(engines(c))),
    "arbiter": lambda c: ReadArbiter(c.sparse_pes > 0),
    "semaphores": lambda c: Semaphores(len(engines(c))),
    "ifmap": IfmapSequencer,
    "filter": FilterSequencer,
    "psum": PsumSequencer,
    "ofmap": OfmapSequencer,
    "requantise": Requantise,
    "scaler": lambda c: Scaler(),
    "operand-scaler": lambda c: OperandScaler(),
    "queue-load": lambda c: _queue(c, "load"),
    "queue-ifmap": lambda c: _queue(c, "ifmap"),
    "queue-filter": lambda c: _queue(c, "filter"),
    "queue-psum": lambda c: _queue(c, "psum"),
    "queue-ofmap": lambda c: _queue(c, "ofmap"),
    "queue-store": lambda c: _queue(c, "store"),
    "sparse": SparseEngine,
    "sparse-pe": SparsePe,
    "sparse-fill": SparseFiller,
    "sparse-fetch": ColumnFetcher,
    "sparse-spread": RecordSpreader,
    "window": lambda c: Window(),
    "splitter": lambda c: BurstSplitter(c.address_bits),
    "bridge": _bridge,
    "board-arbiter": lambda c: Arbiter(),
    "link": lambda c: Link(BOARD_HZ, BAUD, BOARD_HZ // 10),
    "sdram": lambda c: Sdram(PARTS[PART], BOARD_HZ, 2),
}
GROUPS = 12  # of long paths that are shown
SPARSE = 4  # sparse PEs of those components, if the configuration has none


def _queue(config: Config, engine: str) -> Issue:
    body = engines(config)[engine]
    return Issue(body, config.engine_queue(engine), in_flight=config.in_flight(engine))


class Harness(Elaboratable):
    """A component between two shift registers, in place of some hundreds of pins."""

    def __init__(self, component):
        self.component = component

    def elaborate(self, platform):
        m = Module()
        m.submodules.clock_in = pad = io.Buffer("i", platform.request("clk25", 0, dir="-"))
        m.submodules.pll = pll = Ecp5Pll(25_000_000, CLOCK_HZ)
        m.domains.sync = sync = ClockDomain(reset_less=True)
        m.d.comb += [pll.clk_in.eq(pad.i), sync.clk.eq(pll.clk_out)]
        m.submodules.button = button = io.Buffer("i", platform.request("button_fire", 0, dir="-"))
        m.submodules.led = led = io.Buffer("o", platform.request("led", 0, dir="-"))
        m.submodules.unit = unit = self.component
        ports = [(member, Value.cast(value)) for _, member, value in unit.signature.flatten(unit)]
        into, out = (
            Cat(v for member, v in ports if (member.flow == In) == way) for way in (True, False)
        )
        feed = Signal(len(into), attrs={"keep": "1"})
        kept = Signal(len(out))
        take = Signal()
        m.d.sync += [feed.eq(Cat(button.i, feed)), take.eq(feed[-1])]
        with m.If(take):
            m.d.sync += kept.eq(out)
        with m.Else():
            m.d.sync += kept.eq(kept >> 1)
        m.d.comb += [into.eq(feed), led.o.eq(kept[0])]
        return m


def measure(name: str, config: Config, seed: int = 1, route: bool = True) -> dict:
    """LUTs (a carry cell counts two, a RAM of 16x4 bits six), FFs, multipliers, block RAMs of a
    component and of its `parts`; if routed its fmax, and the `path` that limits it, else
    `estimates` of its paths; kept under build/area by content. Raises KeyError for an unknown
    component."""
    if name.startswith("sparse") and not config.sparse_pes:
        config = config.replace(sparse_pes=SPARSE)
    platform = ULX3S_85F_Platform()
    plan = platform.prepare(
        Harness(COMPONENTS[name](config)),
        "top",
        emit_src=False,
        **options("ecp5", seed, keep=name not in ("pe", "sparse-pe")),
    )
    env = environment(platform.required_tools)
    key = hashlib.sha256(plan.digest() + Path(__file__).read_bytes())
    for part in (
        str(route),
        *(version(env[tool_env_var(tool)]) for tool in TOOLS[: 1 + route]),
        fingerprint("fpga.flow.cells", "fpga.flow.estimate"),
    ):
        key.update(part.encode())
    kept = BUILD / "area" / f"{key.hexdigest()[:20]}.json"
    if not kept.exists():
        root = Path(plan.extract(str(BUILD / "fpga" / f"{name}-{config.name}")))
        found = _run(root, plan.script, env, route)
        write_atomic(kept, json.dumps(found).encode())
    found = json.loads(kept.read_text())
    if not route:
        found["estimates"] = [estimate.Path(**path) for path in found["estimates"]]
    return found


def _run(root: Path, script: str, env: dict[str, str], route: bool) -> dict:
    """The tools, in the folder of a build, and what is to be read there."""
    command = ["sh", f"{script}.sh"] if route else [env["YOSYS"], "-q", "-l", "top.rpt", "top.ys"]
    with open(root / "build.log", "w", encoding="utf-8") as log:
        subprocess.run(command, cwd=root, env=env, stdout=log, stderr=log, check=True)
    netlist = json.loads((root / "top.json").read_text())["modules"]["top"]
    fed = set(netlist["netnames"]["feed"]["bits"]) | set("01x")
    # the harness's registers are not the component's, whose ports they drive
    for net in list(netlist["netnames"]):
        if net.startswith("unit.") and set(netlist["netnames"][net]["bits"]) <= fed:
            del netlist["netnames"][net]
    found = count(netlist, "unit") | {"parts": by_component(netlist, 2)}
    if route:
        report = json.loads((root / "report.json").read_text())
        slowest = min(report["fmax"], key=lambda clock: report["fmax"][clock]["achieved"])
        found |= {
            "fmax_mhz": round(report["fmax"][slowest]["achieved"], 1),
            "path": critical_path(report, netlist, slowest),
        }
    else:
        found["estimates"] = [asdict(path) for path in estimate.endpoints(netlist)]
    return found


def critical_path(report: dict, netlist: dict, clock: str) -> dict:
    """{start, end, levels, net_ns} of the slowest path of a clock in nextpnr's report: its
    registers, LUTs between them, and the time in wires."""
    path = next(
        p["path"] for p in report["critical_paths"] if p["from"] == p["to"] == f"posedge {clock}"
    )
    names = owners(netlist)

    def shown(cell):
        """A cell by the name of what it drives; those of the packer are called after a cell of
        the netlist."""
        found = netlist["cells"].get(cell)
        bits = [
            b
            for name, bits in (found or {"connections": {}})["connections"].items()
            if name in ("Q", "Z", "DO", "S0", "P0", "DOB0")
            for b in bits
        ]
        return names.get(bits[0], cell) if bits else cell

    wires = [step for step in path if step["type"] == "routing"]
    return {
        "start": shown(path[0]["from"]["cell"]),
        "end": shown(path[-1]["to"]["cell"]),
        "levels": sum(step["type"] == "logic" for step in path),
        "net_ns": round(sum(step["delay"] for step in wires), 1),
    }


def line(name: str, row: dict) -> str:
    return (
        f"{name:24}{row['lut']:7,}{row['ff']:7,}{row['dsp']:5}{row['bram']:6}"
        f"{row.get('fmax_mhz', ''):>8}"
    )


def main(arguments: list[str]) -> None:
    chosen = [a for a in arguments if "=" not in a]
    options = dict(a.split("=", 1) for a in arguments if a.startswith(("preset=", "route=")))
    config = Config.load(options.get("preset", "ecp5-45")).override(
        [a for a in arguments if "=" in a and not a.startswith(("preset=", "route="))]
    )
    unknown = [name for name in chosen if name not in COMPONENTS]
    if unknown or options.get("route", "true") not in ("true", "false"):
        raise SystemExit(
            f"fpga.flow.area: cannot measure {' '.join(unknown) or options}: "
            f"choose from {', '.join(COMPONENTS)}"
        )
    print(f"{'':24}{'LUT4':>7}{'FF':>7}{'DSP':>5}{'BRAM':>6}{'MHz':>8}")
    for name in chosen or COMPONENTS:
        found = measure(name, config, route=options.get("route") != "false")
        print(line(name, found), flush=True)
        if chosen:
            for part, row in sorted(found["parts"].items(), key=lambda item: -item[1]["lut"]):
                if part.startswith("unit"):
                    print(line("  " + (part[5:] or "itself"), row))
            for (start, end), paths in list(estimate.groups(found.get("estimates", []), 2).items())[
                :GROUPS
            ]:
                print(
                    f"  {len(paths)} from {start or 'top'} to {end or 'top'}, at worst\n    "
                    f"{paths[0]}"
                )
        if "path" in found:
            print(
                "  {start} -> {end}: {levels} levels, {net_ns} ns in wires".format(**found["path"]),
                flush=True,
            )


if __name__ == "__main__":
    main(sys.argv[1:])
