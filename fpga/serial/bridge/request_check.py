"""What a request is, and whether it looks as it must."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from fpga.serial.bridge.words import REASON, Header, Kind
from fpga.serial.protocol import MAX_DATA, Opcode, Reason


class RequestCheck(wiring.Component):
    """Judges a header.

    Members: `header`; `fits`, as many data came as should; `session`, a HELLO did. `kind`, one
    cycle after the header; `of_memory`, of `kind`; `carries`, two cycles after it, data come with
    such a request. `refused` for `reason`, the first that holds of unknown opcode, no session,
    length, address; three cycles after the header, in the cycle of `fits` and `session`.
    """

    header: In(Header)
    fits: In(1)
    session: In(1)
    kind: Out(Kind)
    of_memory: Out(1)
    carries: Out(1)
    refused: Out(1)
    reason: Out(REASON)

    def elaborate(self, platform):
        m = Module()
        kind, length, address = self.kind, self.header.length, self.header.address

        # In registers: nothing is in a hurry here.
        for code in Opcode:
            m.d.sync += kind[code.name.lower()].eq(self.header.opcode == code)
        m.d.comb += self.of_memory.eq(kind.read | kind.write)
        m.d.sync += self.carries.eq(kind.write | kind.write_register)

        none, over, right_length, aligned = Signal(), Signal(), Signal(), Signal()
        whole_words, single = Signal(), Signal()
        m.d.comb += [
            whole_words.eq(~length[:2].any() & (~length[2] | ~self.of_memory)),
            single.eq(length[2:11] == 1),
        ]
        m.d.sync += [
            none.eq(length == 0),
            over.eq(length > MAX_DATA),
            aligned.eq(~address[:2].any() & (~address[2] | ~self.of_memory)),
            right_length.eq(
                Mux(
                    self.of_memory | kind.read_registers | kind.write_register,
                    ~none & ~over & whole_words & (single | ~kind.write_register),
                    none,
                )
            ),
        ]

        m.d.comb += self.refused.eq(1)
        with m.If(~kind.as_value().any()):
            m.d.comb += self.reason.eq(Reason.OPCODE)
        with m.Elif(~self.session & ~kind.hello):
            m.d.comb += self.reason.eq(Reason.NO_SESSION)
        with m.Elif(~right_length | ~self.fits):
            m.d.comb += self.reason.eq(Reason.LENGTH)
        with m.Elif(~aligned):
            m.d.comb += self.reason.eq(Reason.ADDRESS)
        with m.Else():
            m.d.comb += self.refused.eq(0)
        return m
