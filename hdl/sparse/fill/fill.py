"""SPARSE_FILL: the global buffer into the memories of the sparse PEs."""

from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import Out

from hdl.buffer.words import READ_SIGNATURE
from hdl.config import Config
from hdl.isa import SparseFillBody
from hdl.lib.engine import engine_ports
from hdl.lib.stream.stream_fifo import StreamFifo
from hdl.sparse.fill.deal import FillDemultiplexer
from hdl.sparse.fill.walk import FillWalk
from hdl.sparse.words import SparseFill, fill_note_layout

NOTES = 16  # words asked for and not yet come; covers the buffer's latency


class SparseFiller(wiring.Component):
    """Executes SPARSE_FILL (isa.SparseFillBody has the loops).

    Members: `command`, `done`; `glb` read port; `fills`, one SparseFill for each PE, applied
    in the cycle they are there, the last together with `done`. One word of the buffer a cycle
    (two for accumulators), and an entry of the codebook, each of which reads its word. Two cycles
    lost between commands.
    """

    def __init__(self, config: Config):
        self.config = config
        super().__init__(
            engine_ports(SparseFillBody)
            | {"glb": Out(READ_SIGNATURE), "fills": Out(SparseFill).array(config.sparse_pes)}
        )

    def elaborate(self, platform):
        m = Module()
        request, response = self.glb.request, self.glb.response

        # Words are asked for while there is room for what they are for. One note may come as this
        # is found out; what has been told stays true until then.
        m.submodules.walk = walk = FillWalk(self.config)
        note_layout, room = fill_note_layout(self.config), Signal()
        m.submodules.notes = notes = StreamFifo(note_layout, NOTES)
        wiring.connect(m, wiring.flipped(self.command), walk.command)
        m.d.sync += room.eq((room & ~notes.input.valid) | (notes.level < NOTES - 1))
        m.d.comb += [
            request.valid.eq(walk.step.valid & room),
            request.payload.eq(walk.step.p.word),
            walk.step.ready.eq(request.ready & room),
            notes.input.valid.eq(request.valid & request.ready),
            notes.input.payload.eq(walk.step.p.note),
        ]

        # And go to the PEs as they come.
        m.submodules.deal = deal = FillDemultiplexer(self.config)
        m.d.comb += [
            deal.come.eq(response.valid & notes.output.valid),
            deal.words.eq(response.payload),
            deal.note.eq(notes.output.payload),
            response.ready.eq(notes.output.valid),
            notes.output.ready.eq(deal.come),
            self.done.eq(deal.done),
            *(own.eq(fill) for own, fill in zip(self.fills, deal.fills)),
        ]
        return m
