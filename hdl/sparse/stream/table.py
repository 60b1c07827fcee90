"""Columns to their words of a table in the global buffer."""

from amaranth.hdl import Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from hdl.buffer.words import READ_SIGNATURE
from hdl.config import Config
from hdl.isa import WORD_ADDR
from hdl.lib.stream.forward_slice import ForwardSlice
from hdl.lib.stream.register_slice import RegisterSlice
from hdl.lib.stream.stream_fifo import StreamFifo
from hdl.lib.stream.through import into, through
from hdl.sparse.words import LookUp, TableEntry, wanted_layout

LOOK_UPS = 16  # columns that wait for the table; covers the buffer's latency


class TableReader(wiring.Component):
    """Members: `wanted`, stream of wanted_layout; `table`, the word of the command's table; `glb`,
    read port; `entry`, stream of TableEntry that never waits, in order; `space`: there is room for
    all that may be under way, LOOK_UPS + 8; `looked_up`, a pulse: a mark has been taken, so that
    `table` may change; `under_way`, from then until `left`, a pulse: it has passed what follows.
    No other mark is taken meanwhile.

    A column a cycle; latency two cycles and the buffer's.
    """

    def __init__(self, config: Config):
        self.config = config
        super().__init__(
            {
                "wanted": In(stream.Signature(wanted_layout(config))),
                "table": In(WORD_ADDR),
                "glb": Out(READ_SIGNATURE),
                "entry": Out(stream.Signature(TableEntry, always_ready=True)),
                "space": In(1),
                "looked_up": Out(1),
                "under_way": Out(1),
                "left": In(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        request = into(m, "request", ForwardSlice(WORD_ADDR), wiring.flipped(self.glb.request))
        response = self.glb.response
        m.submodules.notes = notes = StreamFifo(LookUp, LOOK_UPS)

        # Asked for. Both ways a register, since the columns found and the end of a command meet
        # before this; `room` counts those that wait for the table and the one taken now.
        slice_ = RegisterSlice(wanted_layout(self.config))
        asked = through(m, "asked", slice_, wiring.flipped(self.wanted))
        room, may, take, note = Signal(), Signal(), Signal(), Signal(LookUp)
        m.d.sync += room.eq(notes.input.ready & (notes.level < LOOK_UPS - 2) & self.space)
        m.d.comb += [
            may.eq(room & ~(asked.p.mark & self.under_way)),
            asked.ready.eq(may & request.ready),
            request.valid.eq(asked.valid & may & ~asked.p.mark),
            request.payload.eq(self.table + (asked.p.column >> 2)),
            take.eq(asked.valid & asked.ready),
            note.mark.eq(asked.p.mark),
            note.lane.eq(asked.p.column[:2]),
            note.value.eq(asked.p.value),
            notes.input.valid.eq(take),
            notes.input.payload.eq(note),
        ]
        m.d.sync += self.looked_up.eq(take & asked.p.mark)
        with m.If(take & asked.p.mark):
            m.d.sync += self.under_way.eq(1)
        with m.Elif(self.left):
            m.d.sync += self.under_way.eq(0)

        # What comes; a mark has no word.
        entry = self.entry
        m.d.comb += [
            entry.p.look_up.eq(notes.output.payload),
            entry.p.word.eq(response.payload[:64]),
            entry.valid.eq(notes.output.valid & (entry.p.look_up.mark | response.valid)),
            notes.output.ready.eq(entry.valid),
            response.ready.eq(notes.output.valid & ~entry.p.look_up.mark),
        ]
        return m
