"""Commands of the sparse engine, one after the other."""

from amaranth.hdl import Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from hdl.config import Config
from hdl.isa import (
    SPARSE_BODY_BITS,
    SPARSE_KINDS,
    SparseCommand,
    SparseDumpBody,
    SparseOutputBody,
    SparseRunBody,
    SparseStreamBody,
)
from hdl.sparse.engine.search import SearchWords
from hdl.sparse.words import search_signature, start_signature, stream_signature


class SparseCommands(wiring.Component):
    """Members
    -------
    command, done     RUN, OUTPUT, DUMP and STREAM; a pulse for each but STREAM
    found, busy       PEs or tree hold something found; PEs or records hold something
    search, stream    to the PEs, and of a STREAM to its columns' records
    output, dump      to what carries these out
    streaming         the command is a STREAM
    ending, ended     everything found has gone to the fetcher, but the mark; this has been taken
    running, active   RUN is under way; RUN or OUTPUT are

    What a command says ends in registers: from its acceptance to a search a STREAM takes two
    cycles, a RUN three. RUN is done three cycles after the PEs are. The next command begins when
    one is done; a STREAM when the one before has been looked up.
    """

    def __init__(self, config: Config):
        self.config = config
        super().__init__(
            {
                "command": In(stream.Signature(SparseCommand)),
                "done": Out(1),
                "found": In(1),
                "busy": In(1),
                "search": Out(search_signature(config)),
                "stream": Out(stream_signature()),
                "output": Out(start_signature(SparseOutputBody)),
                "dump": Out(start_signature(SparseDumpBody)),
                "streaming": Out(1),
                "ending": Out(1),
                "ended": In(1),
                "running": Out(1),
                "active": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()

        # The command; its bodies are views of the same bits.
        kind, raw = Signal(2), Signal(SPARSE_BODY_BITS)
        run, records = Signal(SparseRunBody), Signal(SparseStreamBody)
        for body in (run, self.output.body, self.dump.body, records):
            m.d.comb += body.eq(raw[: len(body.as_value())])
        with m.If(self.command.ready):
            m.d.sync += [
                kind.eq(self.command.p.kind),
                raw.eq(self.command.p.body),
                self.streaming.eq(self.command.p.kind == SPARSE_KINDS.index(SparseStreamBody)),
            ]
        m.d.comb += [self.stream.table.eq(records.word), self.stream.dram.eq(records.dram)]

        # What it says to the PEs.
        m.submodules.words = words = SearchWords(self.config)
        wiring.connect(m, words.pes, wiring.flipped(self.search))
        begins = words.start
        m.d.comb += [words.body.eq(run), words.streaming.eq(self.streaming)]

        # What they tell, a cycle later.
        nothing, idle, searches = Signal(), Signal(), self.found | begins | self.search.start
        m.d.sync += [
            nothing.eq(~searches),
            idle.eq(~searches & ~self.busy & ~self.stream.any),
        ]

        # One after the other.
        with m.FSM() as fsm:
            with m.State("idle"):
                m.d.comb += self.command.ready.eq(1)
                with m.If(self.command.valid):
                    m.next = "prepare"
            with m.State("prepare"):
                m.next = "begin"
                with m.If(self.streaming):
                    m.d.comb += [begins.eq(1), self.stream.begun.eq(1)]
                    m.next = "seek"
            with m.State("begin"):
                with m.If(idle):
                    with m.Switch(kind):
                        with m.Case(SPARSE_KINDS.index(SparseRunBody)):
                            m.d.comb += begins.eq(1)
                            m.next = "run"
                        with m.Case(SPARSE_KINDS.index(SparseOutputBody)):
                            m.d.comb += self.output.start.eq(1)
                            m.next = "output"
                        with m.Default():
                            m.d.comb += self.dump.start.eq(1)
                            m.next = "dump"
            with m.State("seek"):
                m.d.comb += self.ending.eq(nothing)
                with m.If(self.ending & self.ended):
                    m.next = "look up"
            with m.State("look up"):
                with m.If(self.stream.looked_up):
                    m.next = "idle"
            with m.State("run"):
                with m.If(idle):
                    m.next = "done"
            with m.State("output"):
                with m.If(self.output.ends):
                    m.next = "done"
            with m.State("dump"):
                with m.If(self.dump.ends):
                    m.next = "done"
            with m.State("done"):
                m.d.comb += self.done.eq(1)
                m.next = "idle"

        # What is under way.
        m.d.comb += [
            self.running.eq(fsm.ongoing("run")),
            self.active.eq(fsm.ongoing("run") | fsm.ongoing("output")),
        ]
        return m
