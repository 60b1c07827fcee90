"""Registers, program and queues: what tells the engines what to do."""

from amaranth.hdl import Cat, Module, ShapeLike, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from hdl.config import Config
from hdl.control.fetch.fetch import Fetch
from hdl.control.issue import EarlyIssue, Issue
from hdl.control.registers.control import Control
from hdl.control.semaphores import Semaphores
from hdl.control.words import engines
from hdl.isa import COUNTERS, ConfigBody, Error
from hdl.lib.axi import ADDRESS, ReadMaster, lite_ports
from hdl.lib.near_reset import near_reset

# Whose commands give their semaphores before they are done.
EARLY = {"sparse": EarlyIssue}
ARRAY_ENGINES = ("ifmap", "filter", "psum", "ofmap")


def engine_port(body: ShapeLike) -> wiring.Signature:
    """What an engine is driven by (docs/architecture.md, the common contract)."""
    return wiring.Signature(
        {
            "command": Out(stream.Signature(body)),
            "done": In(1),
            "freed": In(1),
            "error": In(Error),
        }
    )


class CommandUnit(wiring.Component):
    """The register file, Fetch, and an Issue with its semaphores for every engine.

    Members
    -------
    s_axi_*, interrupt   AXI4-Lite slave (isa.Register), level until cleared
    <engine>             engine_port of each of engines(config)
    config, config_refused   stream of ConfigBody, offered when the four engines of the array are
                         idle; its mapping does not fit the chain
    read                 AXI read master of the program
    read_base, read_limit, write_base, write_limit   windows
    start, running, halt, core_reset   a program begins, a pulse; runs; from an error to the reset;
                         that of everything but the registers
    active, waiting      a bit an engine: it has a command; one waits for a semaphore
    progress, quiet      something moved elsewhere; no AXI transaction is pending
    counter, counter_value   the index of the counter read; its value three cycles later
    """

    def __init__(self, config: Config):
        self.build = config
        bodies = engines(config)
        super().__init__(
            {
                **lite_ports(),
                "interrupt": Out(1),
                **{name: Out(engine_port(body)) for name, body in bodies.items()},
                "config": Out(stream.Signature(ConfigBody)),
                "config_refused": In(1),
                "read": Out(ReadMaster),
                "read_base": Out(ADDRESS),
                "read_limit": Out(ADDRESS),
                "write_base": Out(ADDRESS),
                "write_limit": Out(ADDRESS),
                "start": Out(1),
                "running": Out(1),
                "halt": Out(1),
                "core_reset": Out(1),
                "active": Out(len(bodies)),
                "waiting": Out(len(bodies)),
                "progress": In(1),
                "quiet": In(1),
                "counter": Out(range(len(COUNTERS))),
                "counter_value": In(64),
            }
        )

    def elaborate(self, platform):
        m = Module()
        bodies = engines(self.build)
        m.submodules.control = control = Control(self.build, 1 + len(bodies))
        m.submodules.semaphores = semaphores = Semaphores(len(bodies))
        reset, _ = near_reset(m, "command", control.core_reset)
        fetch = Fetch(self.build)
        m.submodules.fetch = reset(fetch)

        # The outside, and what all know.
        for name, member in lite_ports().items():
            inner, outer = getattr(control, name), getattr(self, name)
            m.d.comb += inner.eq(outer) if member.flow == In else outer.eq(inner)
        for name in (
            *("interrupt", "read_base", "read_limit", "write_base", "write_limit"),
            *("start", "running", "halt", "core_reset", "counter"),
        ):
            m.d.comb += getattr(self, name).eq(getattr(control, name))
        m.d.comb += [control.quiet.eq(self.quiet), control.counter_value.eq(self.counter_value)]

        # The program.
        wiring.connect(m, fetch.read, wiring.flipped(self.read))
        wiring.connect(m, fetch.config, wiring.flipped(self.config))
        for name in ("start", "program", "count", "halt"):
            m.d.comb += getattr(fetch, name).eq(getattr(control, name))
        m.d.comb += [
            fetch.base.eq(control.read_base),
            fetch.limit.eq(control.read_limit),
            fetch.config_refused.eq(self.config_refused),
            control.codes[0].eq(fetch.error),
            control.indices[0].eq(fetch.index),
            control.busy[0].eq(fetch.busy),
        ]
        m.d.sync += semaphores.clear.eq(control.start | control.core_reset)  # no command is quicker

        # The engines.
        moves, busy = [self.config.valid & self.config.ready], {}
        for i, (name, body) in enumerate(bodies.items()):
            build, engine = self.build, getattr(self, name)
            kind = EARLY.get(name, Issue)
            issue = kind(body, build.engine_queue(name), in_flight=build.in_flight(name))
            m.submodules[f"issue_{name}"] = reset(issue)
            wiring.connect(m, getattr(fetch, name), issue.queue)
            wiring.connect(m, issue.command, wiring.flipped(engine.command))
            m.d.comb += [
                issue.done.eq(engine.done),
                issue.freed.eq(engine.freed),
                issue.halt.eq(control.halt),
                issue.available.eq(semaphores.available),
                semaphores.take[i].eq(issue.take),
                semaphores.give[i].eq(issue.give),
                control.codes[1 + i].eq(engine.error),
                control.indices[1 + i].eq(issue.index),
                control.busy[1 + i].eq(issue.busy),
                self.active[i].eq(issue.active),
                self.waiting[i].eq(issue.waiting),
            ]
            moves += [issue.command.valid & issue.command.ready, engine.done]
            busy[name] = issue.busy

        # A cycle late does no harm: no command follows another that fast, and an end is watched for
        # some cycles.
        moved = Signal(len(moves) + 1)
        m.d.sync += [
            fetch.drained.eq(~Cat(busy[name] for name in ARRAY_ENGINES).any()),
            control.finished.eq(~fetch.busy & ~Cat(busy.values()).any()),
            moved.eq(Cat(*moves, self.progress)),
            control.progress.eq(moved.any()),
        ]
        return m
