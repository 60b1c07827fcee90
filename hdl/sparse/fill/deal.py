"""Words of the buffer to the PEs' memories."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hdl.config import ENTRY_BITS, LANES, PSUM_SLOT_BITS, Config
from hdl.isa import Target
from hdl.sparse.words import SparseFill, fill_index, fill_note_layout


class FillDemultiplexer(wiring.Component):
    """Members: `come`, a word of the buffer is there, `words` are it and the next, `note` says what
    it is for; `fills`, one SparseFill for each PE; `done`, with a command's last.

    A word a cycle; latency one cycle.
    """

    def __init__(self, config: Config):
        self.config = config
        super().__init__(
            {
                "come": In(1),
                "words": In(128),
                "note": In(fill_note_layout(config)),
                "fills": Out(SparseFill).array(config.sparse_pes),
                "done": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        note = self.note

        # What all PEs are shown.
        words, code, address = Signal(128), Signal(ENTRY_BITS), Signal(fill_index(self.config))
        m.d.sync += [
            words.eq(self.words),
            address.eq(note.address),
            code.eq(self.words[:64].word_select(note.address[:2], ENTRY_BITS)),
            self.done.eq(self.come & note.last),
        ]

        # Which of them take it.
        for n, fill in enumerate(self.fills):
            lane, group = n % LANES, n // LANES
            chosen = Signal(len(Target), name=f"chosen_{n}")
            with m.Switch(note.target):
                with m.Case(Target.WEIGHTS, Target.POINTERS):
                    m.d.comb += chosen.eq((note.select == n) << note.target)
                with m.Case(Target.CODEBOOK):
                    m.d.comb += chosen[Target.CODEBOOK].eq(1)
                with m.Case(Target.ACCUMULATORS, Target.ACTIVATIONS):
                    m.d.comb += chosen.eq((note.select == group) << note.target)
            m.d.sync += fill.targets.eq(Mux(self.come, chosen, 0))
            m.d.comb += [
                fill.address.eq(address),
                fill.data.eq(words[:64]),
                fill.code.eq(code),
                fill.psum.eq(words.word_select(lane, PSUM_SLOT_BITS)),
                fill.entry.eq(words.word_select(lane, ENTRY_BITS)),
            ]
        return m
