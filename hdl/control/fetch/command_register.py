"""The register that a command is gathered in."""

from amaranth.hdl import Cat, Module, Signal, Value
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from hdl.control.words import BEATS, Beat, Command


class CommandRegister(wiring.Component):
    """Shifts eight beats into a command and shows it until it leaves.

    Members: `beats`, in stream of Beat; `command`, valid while `full`; `bad`, an answer for it was
    an error; `some`, of each beat, whether a bit of it is set; `leave`, the command goes, and the
    first beat of the next may come in the same cycle. All outputs are registers but `beats.ready`,
    which depends on `leave`.

    Throughput a beat a cycle; a command is `full` a cycle after its last beat came.
    """

    beats: In(stream.Signature(Beat))
    command: Out(Command)
    full: Out(1)
    bad: Out(1)
    some: Out(BEATS)
    leave: In(1)

    def elaborate(self, platform):
        m = Module()
        raw = Signal(Command, reset_less=True)
        place = Signal(range(BEATS))  # of the next beat
        shift = Signal()
        beat = self.beats.p
        m.d.comb += [
            self.command.eq(raw),
            self.beats.ready.eq(~self.full | self.leave),
            shift.eq(self.beats.valid & self.beats.ready),
        ]

        # `shift` goes to every bit of a command.
        with m.If(shift):
            m.d.sync += [
                Value.cast(raw).eq(Cat(Value.cast(raw)[64:], beat.data)),
                self.some.eq(Cat(self.some[1:], beat.data.any())),
                place.eq(place + 1),
            ]
        m.d.sync += [
            self.full.eq((self.full & ~self.leave) | (shift & (place == BEATS - 1))),
            self.bad.eq((self.bad & ~self.leave) | (shift & beat.bad)),
        ]
        return m
