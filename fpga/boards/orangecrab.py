"""OrangeCrab r0.2: ECP5. Its USB goes to the FPGA itself, so the serial line is on the header."""

from amaranth.build import Attrs
from amaranth_boards.orangecrab_r0_2 import OrangeCrabR0_2_25FPlatform, OrangeCrabR0_2_85FPlatform
from amaranth_boards.resources import UARTResource

from .board import Board

# A 3.3 V adapter on SDA (to the board) and SCL: beside the clock's pin. With pins 0 and 1, in a corner of the chip, where
# boards of this shape have their serial line, the 85F is not routed (docs/fpga.md).
UART = UARTResource(0, rx="sda", tx="scl", conn=("io", 0), attrs=Attrs(IO_TYPE="LVCMOS33", PULLMODE="UP"))

BOARDS = tuple(
    Board(name, platform, preset, clock_hz=clock, memory=memory, link="a 3.3 V serial adapter at SDA and SCL",
          loader="dfu-util -d 1209:5af0 -a 0 -D {bitstream}", persist="dfu-util -d 1209:5af0 -a 0 -D {bitstream}",
          package="dfu-util", resources=(UART,))
    for name, platform, preset, clock, memory in (
        ("orangecrab-25f", OrangeCrabR0_2_25FPlatform, "ecp5-25", 96_000_000, 48 << 10),
        ("orangecrab-85f", OrangeCrabR0_2_85FPlatform, "ecp5-85-128", 84_000_000, 192 << 10),
    ))
