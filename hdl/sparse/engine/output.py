"""SPARSE_OUTPUT: the sums of the PEs to activations."""

from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hdl.config import LANES, Config
from hdl.isa import SparseOutputBody
from hdl.sparse.engine.rounder import RowRounder
from hdl.sparse.engine.rows import OutputSequencer
from hdl.sparse.words import output_signature, start_signature


class SparseOutput(wiring.Component):
    """An OutputSequencer, and a RowRounder for every four PEs.

    Members: `command` and `pes`, as their signatures in words.py say.

    LANES / sparse_round_lanes cycles a row, and 6 more.
    """

    def __init__(self, config: Config):
        self.config = c = config
        super().__init__(
            {
                "command": In(start_signature(SparseOutputBody)),
                "pes": Out(output_signature(c)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        c, groups = self.config, self.config.sparse_pes // LANES
        command, pes = self.command, self.pes

        # Which rows, of which of every four PEs.
        m.submodules.sequencer = sequencer = OutputSequencer(c)
        wiring.connect(m, wiring.flipped(command), sequencer.command)
        m.d.comb += [
            pes.row.eq(sequencer.row),
            pes.show.eq(sequencer.turns.replicate(groups)),
            pes.address.eq(sequencer.address),
            pes.keep.eq(sequencer.kept_turns.replicate(groups)),
        ]

        # What becomes of them.
        for group in range(groups):
            rounder = RowRounder(c.psum_bits, c.sparse_round_lanes)
            m.submodules[f"round_{group}"] = rounder
            m.d.comb += [rounder.shift.eq(command.body.shift), rounder.relu.eq(command.body.relu)]
            for lane in range(LANES):
                n = group * LANES + lane
                m.d.comb += [
                    rounder.psums[lane].eq(pes.accumulators[n]),
                    pes.entries[n].eq(rounder.entries[lane]),
                ]
        return m
