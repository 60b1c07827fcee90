"""Starts a program and watches it."""

from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hdl.config import Config
from hdl.control.registers.error_watch import ErrorWatch
from hdl.control.registers.program_life import ProgramLife
from hdl.control.registers.watchdog import Watchdog
from hdl.isa import INDEX, Error, Status

LIFE = ("status", "error", "error_index", "running", "start", "halt", "core_reset", "ended", "over")


class Supervisor(wiring.Component):
    """ErrorWatch, Watchdog and ProgramLife, whose members these are, and `progress`, something
    moved. While a reset waits the watchdog counts from its request on, whatever moves.

    From an error to `halt` two cycles, to ERROR sources + 4.
    """

    def __init__(self, config: Config, sources: int):
        self.config, self.sources = config, sources
        super().__init__(
            {
                "go": In(1),
                "reset": In(1),
                "limit": In(32),
                "finished": In(1),
                "codes": In(Error).array(sources),
                "indices": In(INDEX).array(sources),
                "busy": In(1).array(sources),
                "progress": In(1),
                "quiet": In(1),
                "status": Out(Status),
                "error": Out(Error),
                "error_index": Out(config.index_bits),
                "running": Out(1),
                "start": Out(1),
                "halt": Out(1),
                "core_reset": Out(1),
                "ended": Out(1),
                "over": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.watch = watch = ErrorWatch(self.config, self.sources)
        m.submodules.watchdog = watchdog = Watchdog()
        m.submodules.life = life = ProgramLife(self.config)
        m.d.comb += [getattr(self, name).eq(getattr(life, name)) for name in LIFE]

        # errors
        for i in range(self.sources):
            m.d.comb += [
                watch.codes[i].eq(self.codes[i]),
                watch.indices[i].eq(self.indices[i]),
                watch.busy[i].eq(self.busy[i]),
            ]
        m.d.comb += [
            watch.running.eq(life.running),
            watch.looking.eq(life.looking),
            watch.barked.eq(watchdog.barked),
            watch.clear.eq(life.core_reset | life.start),
        ]

        # standstill
        m.d.comb += [
            watchdog.limit.eq(self.limit),
            watchdog.moved.eq((self.progress | ~life.running | self.reset) & ~life.draining),
        ]

        # the program
        m.d.comb += [
            life.go.eq(self.go),
            life.reset.eq(self.reset),
            life.finished.eq(self.finished),
            life.found.eq(watch.found),
            life.tell.eq(watch.tell),
            life.code.eq(watch.error),
            life.place.eq(watch.index),
            life.quiet.eq(self.quiet),
            life.barked.eq(watchdog.barked),
        ]
        return m
