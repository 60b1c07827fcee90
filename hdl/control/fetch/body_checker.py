"""Whether a command is legal as one of an opcode."""

from amaranth.hdl import Cat, Module, Shape, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hdl.config import Config
from hdl.control.legality import rules
from hdl.control.words import BEATS, Command
from hdl.isa import BODIES, Opcode


class BodyChecker(wiring.Component):
    """`ok`: the command is of `opcode` and keeps the rules of hdl/control/legality.py.

    Members: `command` and `some`, of each beat whether a bit of it is set; `is_opcode`, a register,
    and `ok`, of registers, one for every rule, a cycle later.
    """

    def __init__(self, config: Config, opcode: Opcode):
        self.config, self.opcode = config, opcode
        super().__init__(
            {"command": In(Command), "some": In(BEATS), "is_opcode": Out(1), "ok": Out(1)}
        )

    def elaborate(self, platform):
        m = Module()
        layout = BODIES[self.opcode]
        header, body = self.command.header, self.command.body
        fields = Signal(layout)
        m.d.comb += Value.cast(fields).eq(body)

        # What lies after the fields is 0, so that later versions may give it a meaning.
        width = Shape.cast(layout).width
        beats = -(-width // 64)
        spare = Signal()
        m.d.comb += spare.eq(body[width : 64 * beats].any() | self.some[1 + beats :].any())

        # A register for every rule, since some are sums.
        good = rules(self.config, self.opcode, header.wait, header.signal, fields)
        kept = Signal(len(good) + 1)
        m.d.sync += [
            kept.eq(Cat(*good, ~spare)),
            self.is_opcode.eq(header.opcode == int(self.opcode)),
        ]
        m.d.comb += self.ok.eq(self.is_opcode & kept.all())
        return m
