"""Words between the parts of the register file."""

from amaranth.lib import data

REGISTERS = 16  # 32-bit words from address 0 on; counters come after them
LITE_ADDRESS = 12  # bits


class LiteData(data.Struct):
    """What is written to a register."""

    value: 32
    strobe: 4  # of each byte, whether it is written
