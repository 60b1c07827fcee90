"""The registers that hold what was written to them."""

from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hdl.config import Config
from hdl.control.registers.words import REGISTERS
from hdl.isa import Register
from hdl.lib.axi import ADDRESS

PROGRAM_ALIGNED = 6  # low bits of PROGRAM that are 0


class PlainRegisters(wiring.Component):
    """PROGRAM, COUNT, the windows and WATCHDOG.

    Members: `write`, `chosen`, `value`, `strobe` (WriteChannel); `locked`, writes are ignored; an
    output for each register, from the cycle after its write on. Addresses have config.address_bits,
    COUNT config.count_bits; what is written above is lost.
    """

    def __init__(self, config: Config):
        self.config = config
        super().__init__(
            {
                "write": In(1),
                "chosen": In(REGISTERS),
                "value": In(32),
                "strobe": In(4),
                "locked": In(1),
                "program": Out(ADDRESS),
                "count": Out(32),
                "read_base": Out(ADDRESS),
                "read_limit": Out(ADDRESS),
                "write_base": Out(ADDRESS),
                "write_limit": Out(ADDRESS),
                "watchdog": Out(32),
            }
        )

    def elaborate(self, platform):
        m = Module()
        bits = self.config.address_bits
        held = {
            Register.PROGRAM: self.program[:bits],
            Register.COUNT: self.count[: self.config.count_bits],
            Register.READ_BASE: self.read_base[:bits],
            Register.READ_LIMIT: self.read_limit[:bits],
            Register.WRITE_BASE: self.write_base[:bits],
            Register.WRITE_LIMIT: self.write_limit[:bits],
            Register.WATCHDOG: self.watchdog,
        }
        for register, target in held.items():
            for n in range(-(-len(target) // 8)):
                lane = slice(8 * n, 8 * n + 8)
                mine = self.chosen[register >> 2] & self.strobe[n]
                with m.If(self.write & mine & ~self.locked):
                    m.d.sync += target[lane].eq(self.value[lane])

        # a command's address
        m.d.sync += self.program[:PROGRAM_ALIGNED].eq(0)
        return m
