"""Names: of the commands, with the modules that they are in, and of the project's networks. A
module is imported when its command is called, so --help is quick."""

from __future__ import annotations

from pathlib import Path

MODELS = Path(__file__).resolve().parents[1] / "compiler" / "models"

# name: (module, what --help says), in the order in which --help lists them
COMMANDS = {
    "run": ("cli.commands.run", "run a network and compare every layer with golden"),
    "verilog": ("cli.commands.verilog", "a configuration's Verilog and its description"),
    "compile": (
        "cli.commands.compile",
        "what an integrator takes away: Verilog, memory image, address map, C driver",
    ),
    "unpack": ("cli.commands.unpack", "the plain memory image of a compiled folder"),
    "board-sim": (
        "cli.commands.board_sim",
        "the main job on a simulated board, over its serial line",
    ),
    "selftest": ("cli.commands.selftest", "bring-up of a board, or of a simulated one"),
    "fpga": ("cli.commands.fpga", "a board's bitstream, and its report"),
    "flash": ("cli.commands.flash", "load a board with its bitstream"),
    "sim": ("cli.commands.sim", "cocotb benches of the components"),
    "fc": ("cli.commands.fc", "run a compressed fully connected layer on 64 sparse PEs"),
    "clean": ("cli.commands.clean", "remove build/"),
    "bench": ("cli.studies.bench", "a network's convolutions on the RTL against the Eyeriss chip"),
    "bench-fc": ("cli.studies.bench_fc", "EIE's nine layers on 64 sparse PEs"),
    "scale": ("cli.studies.scale", "a network's convolutions on arrays from 12 to 336 PEs"),
    "map": ("cli.studies.map", "the mapping of every convolution of a network"),
    "full-size": (
        "cli.studies.full_size",
        "known networks at full size through the compiler and the interpreter",
    ),
    "tiny": ("cli.studies.tiny", "MLPerf Tiny's int8 models: cycles, every tensor against LiteRT"),
    "dataflows": ("cli.studies.dataflows", "six dataflows on equal area: accesses, energy, delay"),
    "energy": ("cli.studies.energy", "energy of a network's layers on a configuration"),
    "explore": (
        "cli.studies.explore",
        "a network on many configurations: the front of cycles, energy and area",
    ),
    "precision": ("cli.studies.precision", "accuracy as activations and weights become narrower"),
    "gates": ("cli.studies.gates", "gate count of a PE, from Yosys"),
    "report": ("cli.studies.report", "the tables of a benchmark report, as Markdown and HTML"),
}
