"""SPARSE_OUTPUT: the sums of the PEs, row by row, to activations."""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hdl.config import LANES, Config, bits_for
from hdl.isa import SparseOutputBody
from hdl.sparse.engine.rounder import RowRounder
from hdl.sparse.words import activation_place, start_signature


class OutputSequencer(wiring.Component):
    """Reads and clears the rows of the PEs, and writes what RowRounders make of them.

    Members: `command`, start_signature, which `ends` when nothing is left of it; `row`, and
    `turns`: of every four PEs those that show and clear it; `kept_turns`: those that keep an
    activation at `address`.

    LANES / sparse_round_lanes cycles a row; from `start` to `ends` 6 more. The RAM of a sum, its
    register and a RowRounder take LATENCY cycles.
    """

    LATENCY = RowRounder.LATENCY + 2

    def __init__(self, config: Config):
        self.config = config
        self.turn_count = LANES // config.sparse_round_lanes
        super().__init__(
            {
                "command": In(start_signature(SparseOutputBody)),
                "row": Out(range(config.sparse_rows)),
                "turns": Out(LANES),
                "kept_turns": Out(LANES),
                "address": Out(activation_place(config)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        c, body, repeats = self.config, self.command.body, LANES // self.turn_count

        # Rows, and whose turn it is within one.
        going, turn, last = Signal(), Signal(self.turn_count, init=1), Signal()
        left = Signal(bits_for(c.sparse_rows))
        with m.If(self.command.start):
            m.d.sync += going.eq(1)
        with m.If(going):
            m.d.sync += turn.eq(turn.rotate_left(1))
            with m.If(turn[-1]):
                m.d.sync += [self.row.eq(self.row + 1), left.eq(left - 1), last.eq(left == 2)]
                with m.If(last):
                    m.d.sync += going.eq(0)

        # On their way to the activations.
        under_way = [Signal(self.turn_count, name=f"under_way_{n}") for n in range(self.LATENCY)]
        now = turn & going.replicate(self.turn_count)
        m.d.sync += [after.eq(before) for after, before in zip(under_way, [now, *under_way])]
        with m.If(under_way[-1][-1]):
            m.d.sync += self.address.eq(self.address + 1)
        m.d.comb += [
            self.turns.eq(now.replicate(repeats)),
            self.kept_turns.eq(under_way[-1].replicate(repeats)),
        ]

        # Until none is.
        busy = going | Cat(under_way).any()
        m.d.comb += self.command.ends.eq(~busy)
        with m.If(~busy):
            m.d.sync += [
                self.row.eq(0),
                left.eq(body.rows),
                last.eq(body.rows == 1),
                self.address.eq(body.address + Mux(body.half, c.sparse_activations, 0)),
            ]
        return m
