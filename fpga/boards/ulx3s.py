"""ULX3S: ECP5 with 32 MB of SDRAM and an FTDI serial port (up to 3 Mbaud)."""

from amaranth_boards.ulx3s import (
    ULX3S_12F_Platform,
    ULX3S_25F_Platform,
    ULX3S_45F_Platform,
    ULX3S_85F_Platform,
)

from .board import Board

BOARDS = tuple(
    Board(
        name,
        platform,
        preset,
        clock_hz=clock,
        memory="32MB-7",
        link="its USB socket US1: /dev/ttyUSB0",
        loader="openFPGALoader -b ulx3s {bitstream}",
        persist="openFPGALoader -b ulx3s -f {bitstream}",
        package="openfpgaloader",
    )
    for name, platform, preset, clock in (
        ("ulx3s-12f", ULX3S_12F_Platform, "ecp5-25", 75_000_000),
        ("ulx3s-25f", ULX3S_25F_Platform, "ecp5-25", 75_000_000),
        ("ulx3s-45f", ULX3S_45F_Platform, "ecp5-45", 80_000_000),
        ("ulx3s-85f", ULX3S_85F_Platform, "ecp5-85", 80_000_000),
        ("ulx3s-85f-128", ULX3S_85F_Platform, "ecp5-85-128", 80_000_000),
    )
)
