"""Which source failed first."""

from amaranth.hdl import Array, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hdl.config import Config
from hdl.isa import INDEX, Error


class ErrorWatch(wiring.Component):
    """Finds the first error of `sources`, of one cycle that of the lowest; or, once `barked`, who
    has the oldest command.

    Members: `codes[i]`, `indices[i]`: error and program index of source i; `busy[i]`, it has a
    command, which `indices[i]` says; `running`, errors count; `looking`, what is found is told;
    `barked`, nothing has moved for too long; `clear`, an error that was found is forgotten;
    `found`, there is one; `tell`, a pulse with its `error` (WATCHDOG if there is none) and `index`.

    `found` comes a cycle after the error, `tell` after a look at the sources, one a cycle:
    sources + 2 cycles after `found` or `barked`. All outputs are registers, or of the states.
    """

    def __init__(self, config: Config, sources: int):
        self.config, self.sources = config, sources
        super().__init__(
            {
                "codes": In(Error).array(sources),
                "indices": In(INDEX).array(sources),
                "busy": In(1).array(sources),
                "running": In(1),
                "looking": In(1),
                "barked": In(1),
                "clear": In(1),
                "found": Out(1),
                "tell": Out(1),
                "error": Out(Error),
                "index": Out(INDEX),
            }
        )

    def elaborate(self, platform):
        m = Module()
        sources, width = range(self.sources), self.config.index_bits
        codes = Array(Signal(Error, name=f"code_{i}") for i in sources)
        indices = Array(Signal(width, name=f"index_{i}", reset_less=True) for i in sources)
        wrong = Signal(self.sources)  # sources with an error, all of one cycle

        # All follow their sources until the first error.
        m.d.comb += self.found.eq(wrong.any())
        with m.If(~self.found):
            for i in sources:
                m.d.sync += [
                    codes[i].eq(self.codes[i]),
                    indices[i].eq(self.indices[i]),
                    wrong[i].eq(self.running & (self.codes[i] != Error.NONE)),
                ]
        with m.If(self.clear):
            m.d.sync += wrong.eq(0)

        # The look, from the last to the first: the lowest in error, or the oldest command.
        source, seen = Signal(sources), Signal(sources)
        shows, code, index = Signal(), Signal(Error), Signal(width)  # of `seen`
        take, some, best, last_code = Signal(), Signal(), Signal(width), Signal(Error)
        m.d.sync += [
            seen.eq(source),
            code.eq(codes[source]),
            index.eq(indices[source]),
            shows.eq(Mux(self.found, wrong.bit_select(source, 1), Array(self.busy)[source])),
        ]
        with m.If(take):
            m.d.sync += [best.eq(index), some.eq(1), last_code.eq(code)]
        m.d.comb += [
            self.error.eq(Mux(self.found, last_code, Error.WATCHDOG)),
            self.index.eq(best),
        ]

        with m.FSM():
            with m.State("Watch"):
                m.d.sync += [source.eq(self.sources - 1), some.eq(0)]
                with m.If(self.looking & (self.found | self.barked)):
                    m.next = "Turn"
            with m.State("Turn"):
                m.d.sync += source.eq(source - 1)
                m.next = "Look"
            with m.State("Look"):
                m.d.comb += take.eq(shows & (self.found | ~some | (index < best)))
                m.d.sync += source.eq(source - 1)
                with m.If(seen == 0):
                    m.next = "Tell"
            with m.State("Tell"):
                m.d.comb += self.tell.eq(self.looking)
                m.next = "Watch"
        return m
