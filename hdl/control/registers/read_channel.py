"""Reads of an AXI4-Lite slave."""

from amaranth.hdl import Module, Signal, unsigned
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from hdl.control.registers.words import LITE_ADDRESS, REGISTERS
from hdl.isa import COUNTERS, Register

COUNTER_WAIT = 3  # cycles from a counter's index to its value


class ReadChannel(wiring.Component):
    """Looks up a register, or a half of a counter.

    Members: `address`, in stream of byte addresses; `answer`, out stream of what is there, 0 if
    nothing is; `registers`; `counter`, the index of the counter read, and `counter_value`, its
    value COUNTER_WAIT cycles later.

    An answer comes five cycles after its address, a read takes six. `answer` is of registers.
    """

    address: In(stream.Signature(LITE_ADDRESS))
    answer: Out(stream.Signature(unsigned(32)))
    registers: In(32).array(REGISTERS)
    counter: Out(range(len(COUNTERS)))
    counter_value: In(64)

    def elaborate(self, platform):
        m = Module()
        first, last = int(Register.COUNTERS), Register.COUNTERS + 8 * len(COUNTERS)
        where = Signal(LITE_ADDRESS)
        wait = Signal(range(COUNTER_WAIT + 1))

        # A cycle after `where`; of a register and a counter one is 0.
        found, is_counter = Signal(32), Signal()
        m.d.comb += self.counter.eq((where - first)[3:])
        m.d.sync += [
            found.eq(0),
            is_counter.eq((where >= first) & (where < last)),
        ]
        with m.If(where[2:] < REGISTERS):
            with m.Switch(where[2:6]):
                for n in range(REGISTERS):
                    with m.Case(n):
                        m.d.sync += found.eq(self.registers[n])

        with m.FSM():
            with m.State("Address"):
                m.d.comb += self.address.ready.eq(1)
                with m.If(self.address.valid):
                    m.d.sync += [where.eq(self.address.payload), wait.eq(COUNTER_WAIT)]
                    m.next = "Look up"
            with m.State("Look up"):
                m.d.sync += wait.eq(wait - 1)
                with m.If(wait == 0):
                    m.d.sync += self.answer.payload.eq(found)
                    with m.If(is_counter):
                        m.d.sync += self.answer.payload.eq(
                            self.counter_value.word_select(where[2], 32)
                        )
                    m.next = "Answer"
            with m.State("Answer"):
                m.d.comb += self.answer.valid.eq(1)
                with m.If(self.answer.ready):
                    m.next = "Address"
        return m
