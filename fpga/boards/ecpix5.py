"""ECPIX-5: ECP5-5G with an FTDI chip, whose second channel is the serial port."""

from amaranth_boards.ecpix5 import ECPIX545Platform, ECPIX585Platform

from .board import Board

BOARDS = tuple(
    Board(
        name,
        platform,
        preset,
        clock_hz=clock,
        memory=memory,
        link="its debug USB socket: /dev/ttyUSB1",
        loader="openFPGALoader -b " + tool + " {bitstream}",
        persist="openFPGALoader -b " + tool + " -f {bitstream}",
        package="openfpgaloader",
    )
    for name, platform, preset, clock, memory, tool in (
        ("ecpix5-45", ECPIX545Platform, "ecp5-45", 100_000_000, 64 << 10, "ecpix5_r03"),
        ("ecpix5-85", ECPIX585Platform, "ecp5-85-128", 90_000_000, 192 << 10, "ecpix5"),
    )
)
