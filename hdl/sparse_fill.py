"""SPARSE_FILL: the global buffer into the memories of the sparse PEs."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import data, fifo, wiring
from amaranth.lib.wiring import Out

from .config import ENTRY_BITS, LANES, PSUM_SLOT_BITS, Config
from .engine import UNDER_WAY, engine_ports
from .glb import READ_SIGNATURE
from .isa import WORD_ADDR, SparseFillBody, Target
from .sparse_pe import SparseFill


class SparseFiller(wiring.Component):
    """Executes SPARSE_FILL (isa.SparseFillBody has the loops).

    Members: `command`, `done`; `glb` read port; `fills`, one SparseFill for each PE, applied
    in the cycle they are there, the last together with `done`. One word of the buffer a cycle
    (two for accumulators), one cycle lost between commands.
    """

    def __init__(self, config: Config):
        self.config = config
        super().__init__(engine_ports(SparseFillBody) | {
            "glb": Out(READ_SIGNATURE), "fills": Out(SparseFill).array(config.sparse_pes)})

    def elaborate(self, platform):
        m = Module()
        c = self.config
        groups = c.sparse_pes // LANES
        body = Signal(SparseFillBody)
        active = Signal()
        word = Signal(WORD_ADDR)
        # An index within a PE, or a group within an index.
        inner, outer, address = Signal(16), Signal(16), Signal(16)
        grouped, wide = Signal(), Signal()
        last_inner, last_outer, step = Signal(), Signal(), Signal()
        note_layout = data.StructLayout({"target": 3, "select": 8, "address": 16, "last": 1})
        m.submodules.notes = notes = fifo.SyncFIFO(width=note_layout.size, depth=UNDER_WAY)
        note, noted = Signal(note_layout), Signal(note_layout)
        m.d.comb += [
            self.command.ready.eq(~active),
            wide.eq(body.target == Target.ACCUMULATORS),
            grouped.eq(wide | (body.target == Target.ACTIVATIONS)),
            last_inner.eq(inner + 1 == Mux(grouped, groups, body.count)),
            last_outer.eq(outer + 1 == Mux(grouped, body.count,
                                           Mux(body.target == Target.CODEBOOK, 1, body.pes))),
            self.glb.request.valid.eq(active & notes.w_rdy), self.glb.request.payload.eq(word),
            step.eq(self.glb.request.valid & self.glb.request.ready),
            note.target.eq(body.target),
            note.select.eq(Mux(grouped, inner, body.pe + outer)),
            note.address.eq(Mux(grouped, address + outer, address + inner)),
            note.last.eq(last_inner & last_outer),
            notes.w_en.eq(step), notes.w_data.eq(note), noted.eq(notes.r_data)]
        with m.If(~active):
            m.d.sync += [body.eq(self.command.payload), active.eq(self.command.valid),
                         word.eq(self.command.payload.word), inner.eq(0), outer.eq(0),
                         address.eq(self.command.payload.address)]
            with m.If(self.command.payload.target == Target.ACTIVATIONS):
                m.d.sync += address.eq(self.command.payload.address
                                       + Mux(self.command.payload.half, c.sparse_activations, 0))
        with m.If(step):
            m.d.sync += [word.eq(word + Mux(wide, 2, 1)), inner.eq(Mux(last_inner, 0, inner + 1))]
            with m.If(last_inner):
                m.d.sync += outer.eq(outer + 1)
                with m.If(last_outer):
                    m.d.sync += active.eq(0)

        # ---- words as the reads come back -----------------------------------------------
        come = Signal()
        words = self.glb.response.payload
        m.d.comb += [
            come.eq(self.glb.response.valid & notes.r_rdy), self.glb.response.ready.eq(come),
            notes.r_en.eq(come)]
        last = Signal()
        m.d.sync += last.eq(come & noted.last)
        m.d.comb += self.done.eq(last)
        for n in range(c.sparse_pes):
            fill = self.fills[n]
            lane, group = n % LANES, n // LANES
            chosen = Signal(len(Target), name=f"chosen_{n}")
            with m.Switch(noted.target):
                with m.Case(Target.WEIGHTS, Target.POINTERS):
                    m.d.comb += chosen.eq((noted.select == n) << noted.target)
                with m.Case(Target.CODEBOOK):
                    m.d.comb += chosen[Target.CODEBOOK].eq(1)
                with m.Case(Target.ACCUMULATORS, Target.ACTIVATIONS):
                    m.d.comb += chosen.eq((noted.select == group) << noted.target)
            m.d.sync += [
                fill.targets.eq(Mux(come, chosen, 0)), fill.address.eq(noted.address),
                fill.data.eq(words[:64])]
            with m.If(noted.target == Target.ACCUMULATORS):
                m.d.sync += fill.data.eq(words.word_select(lane, PSUM_SLOT_BITS))
            with m.If(noted.target == Target.ACTIVATIONS):
                m.d.sync += fill.data.eq(words.word_select(lane, ENTRY_BITS))
        return m
