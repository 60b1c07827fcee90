"""Entries of words to rows: a real entry a cycle, paddings folded into it."""

from amaranth.hdl import Module, Mux
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from hdl.config import Config
from hdl.sparse.pe.entry_pick import EntryPick
from hdl.sparse.pe.lanes import LaneChooser
from hdl.sparse.pe.row_sum import RowSum
from hdl.sparse.words import mac_layout, word_layout


class EntryDecoder(wiring.Component):
    """LaneChooser, EntryPick and RowSum, one after the other.

    Members: `word`, stream of word_layout; `mac`, stream of mac_layout that never waits; `error`,
    `outside` and `passed` of RowSum; `empty`, nothing is inside; `padding`, paddings met.

    A real entry a cycle, or a word without; latency 5 cycles.
    """

    def __init__(self, config: Config):
        self.config = config
        super().__init__(
            {
                "word": In(stream.Signature(word_layout())),
                "mac": Out(stream.Signature(mac_layout(config), always_ready=True)),
                "error": In(1),
                "outside": Out(1),
                "passed": Out(1),
                "empty": Out(1),
                "padding": Out(4),
            }
        )

    def elaborate(self, platform):
        m = Module()

        # One after the other.
        m.submodules.lanes = lanes = LaneChooser()
        m.submodules.pick = pick = EntryPick()
        m.submodules.rows = rows = RowSum(self.config)
        wiring.connect(m, wiring.flipped(self.word), lanes.word)
        wiring.connect(m, lanes.choice, pick.choice)
        wiring.connect(m, pick.step, rows.step)
        wiring.connect(m, rows.mac, wiring.flipped(self.mac))

        # What they tell.
        step = pick.step
        m.d.comb += [
            rows.error.eq(self.error),
            self.outside.eq(rows.outside),
            self.passed.eq(rows.passed),
            self.empty.eq(~(lanes.busy | step.valid | rows.busy)),
            self.padding.eq(Mux(step.valid, step.p.before + step.p.after, 0)),
        ]
        return m
