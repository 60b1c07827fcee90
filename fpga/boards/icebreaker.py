"""iCEBreaker: UP5K, whose 5,280 LUT4 are too few for the machine (docs/fpga.md); the build says
so."""

from amaranth_boards.icebreaker import ICEBreakerPlatform

from fpga.memory.port import SPRAM

from .board import Board

BOARDS = (
    Board(
        "icebreaker",
        ICEBreakerPlatform,
        "minimal",
        clock_hz=12_000_000,
        memory=SPRAM,
        baud=1_000_000,
        link="its USB socket: /dev/ttyUSB1",
        loader="iceprog -S {bitstream}",
        persist="iceprog {bitstream}",
        package="fpga-icestorm",
    ),
)
