"""OrangeCrab r0.2: ECP5. Its USB goes to the FPGA itself, so the serial line is on the header."""

from amaranth.build import Attrs
from amaranth_boards.orangecrab_r0_2 import OrangeCrabR0_2_25FPlatform, OrangeCrabR0_2_85FPlatform
from amaranth_boards.resources import UARTResource

from .board import Board


def _uart(rx, tx):
    return UARTResource(
        0, rx=rx, tx=tx, conn=("io", 0), attrs=Attrs(IO_TYPE="LVCMOS33", PULLMODE="UP")
    )


# The line's pins, for a 3.3 V adapter, to the board and from it: 0 and 1 are where boards of this
# shape have their serial line, in a corner of the chip. From there the 85F is not routed, from SDA
# and SCL, beside the clock's pin, it is; the 25F is the other way round (docs/fpga.md).
BOARDS = tuple(
    Board(
        name,
        platform,
        preset,
        clock_hz=clock,
        memory=memory,
        link=f"a 3.3 V serial adapter: its TX at {rx.upper()}, RX at {tx.upper()}",
        loader="dfu-util -d 1209:5af0 -a 0 -D {bitstream}",
        persist="dfu-util -d 1209:5af0 -a 0 -D {bitstream}",
        package="dfu-util",
        resources=(_uart(rx, tx),),
    )
    for name, platform, preset, clock, memory, rx, tx in (
        ("orangecrab-25f", OrangeCrabR0_2_25FPlatform, "ecp5-25", 96_000_000, 48 << 10, "0", "1"),
        (
            "orangecrab-85f",
            OrangeCrabR0_2_85FPlatform,
            "ecp5-85-128",
            84_000_000,
            192 << 10,
            "sda",
            "scl",
        ),
    )
)
