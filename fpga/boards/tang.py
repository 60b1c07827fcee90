"""Tang Primer 20K: Gowin GW2A-18; the serial line is the debugger's of its dock."""

from amaranth_boards.tang_primer_20k import TangPrimer20kPlatform

from .board import Board

BOARDS = (
    Board(
        "tang-primer-20k",
        TangPrimer20kPlatform,
        "gowin-20",
        clock_hz=27_000_000,
        memory=32 << 10,
        link="the debugger's USB socket: /dev/ttyUSB1",
        loader="openFPGALoader -b tangprimer20k {bitstream}",
        persist="openFPGALoader -b tangprimer20k -f {bitstream}",
        package="openfpgaloader",
    ),
)
