"""Writes of an AXI4-Lite slave."""

from amaranth.hdl import Cat, Module, Signal, unsigned
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from hdl.control.registers.words import LITE_ADDRESS, REGISTERS, LiteData
from hdl.lib.stream.forward_slice import ForwardSlice
from hdl.lib.stream.through import into


class WriteChannel(wiring.Component):
    """Takes an address and data, in either order, and writes a register.

    Members: `address`, in stream of byte addresses; `data`, in stream of LiteData; `answer`, out
    stream of AXI's response, OKAY whatever was written; `write`, a pulse with which `value` goes to
    the bytes of `strobe` of register i if `chosen[i]`; none is chosen by an address beyond.

    `write` comes two cycles after the later of both, the answer two cycles after `write`, so that
    what a write starts is under way by then: a write takes five cycles, and one comes every four.
    All outputs are registers.
    """

    address: In(stream.Signature(LITE_ADDRESS))
    data: In(stream.Signature(LiteData))
    answer: Out(stream.Signature(unsigned(2)))
    write: Out(1)
    chosen: Out(REGISTERS)
    value: Out(32)
    strobe: Out(4)

    def elaborate(self, platform):
        m = Module()
        address = Signal(LITE_ADDRESS)
        have_address, have_data, done = Signal(), Signal(), Signal()

        # Both halves of a write wait for each other, by hand: two ShiftFifos are eight LUTs more.
        m.d.comb += [self.address.ready.eq(~have_address), self.data.ready.eq(~have_data)]
        with m.If(self.address.valid & self.address.ready):
            m.d.sync += [have_address.eq(1), address.eq(self.address.payload)]
        with m.If(self.data.valid & self.data.ready):
            m.d.sync += [
                have_data.eq(1),
                self.value.eq(self.data.p.value),
                self.strobe.eq(self.data.p.strobe),
            ]

        # The choice of the register has a cycle of its own.
        m.d.sync += [
            self.chosen.eq(Cat(address[2:] == n for n in range(REGISTERS))),
            self.write.eq(have_address & have_data & ~self.write & ~done & ~self.answer.valid),
            done.eq(self.write),
        ]
        with m.If(self.write):
            m.d.sync += [have_address.eq(0), have_data.eq(0)]

        # The answer.
        answer = into(m, "answers", ForwardSlice(unsigned(2)), wiring.flipped(self.answer))
        m.d.comb += answer.valid.eq(done)
        return m
