"""The loops of SPARSE_FILL."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from hdl.config import LANES, Config, bits_for
from hdl.isa import SparseFillBody, Target
from hdl.sparse.words import fill_index, fill_step_layout


class FillWalk(wiring.Component):
    """Members: `command`, stream of SparseFillBody; `step`, stream of fill_step_layout: each word
    of the buffer that the command reads, with what it is for.

    A step a cycle; two cycles lost between commands, for the ends of the loops are compared in
    registers. Indices and PEs or groups that are left count down; which comes first within the
    other depends on the target (isa.SparseFillBody). Of the codebook each word comes four times,
    for each of its entries.
    """

    def __init__(self, config: Config):
        self.config = config
        super().__init__(
            {
                "command": In(stream.Signature(SparseFillBody)),
                "step": Out(stream.Signature(fill_step_layout(config))),
            }
        )

    def elaborate(self, platform):
        m = Module()
        c, command, step = self.config, self.command.payload, self.step.p
        select, index = bits_for(c.sparse_pes - 1), fill_index(c)
        idle, begins, walks = state = Signal(3, init=1)  # ... a command has come, ...
        m.d.comb += [self.command.ready.eq(idle), self.step.valid.eq(walks)]

        # The command, and what its target means: `grouped`, for four PEs at once.
        body, address = Signal(SparseFillBody), Signal(index)
        grouped, wide, coded = (Signal(name=name) for name in ("grouped", "wide", "coded"))
        half = (command.target == Target.ACTIVATIONS) & command.half
        with m.If(idle):
            m.d.sync += [
                body.eq(command),
                wide.eq(command.target == Target.ACCUMULATORS),
                grouped.eq(
                    (command.target == Target.ACCUMULATORS) | (command.target == Target.ACTIVATIONS)
                ),
                coded.eq(command.target == Target.CODEBOOK),
                address.eq(command.address[:index] + Mux(half, c.sparse_activations, 0)),
            ]
            with m.If(self.command.valid):
                m.d.sync += state.eq(2)

        # How many indices, and PEs or groups, are left after this one.
        indices, first_indices, count = (
            Signal(index, name=name) for name in ("indices", "first_indices", "count")
        )
        others, first_others, pes = (
            Signal(select, name=name) for name in ("others", "first_others", "pes")
        )
        last_index, last_other, next_index, next_other, moves = (
            Signal(name=name)
            for name in ("last_index", "last_other", "next_index", "next_other", "moves")
        )
        m.d.comb += [
            count.eq(Mux(coded, (body.count << 2) - 1, body.count - 1)),
            pes.eq(Mux(grouped, c.sparse_pes // LANES - 1, Mux(coded, 0, body.pes - 1))),
            moves.eq(self.step.valid & self.step.ready),
            next_index.eq(moves & (~grouped | last_other)),
            next_other.eq(moves & (grouped | last_index)),
            step.note.target.eq(body.target),
            step.note.last.eq(last_index & last_other),
        ]
        start = Signal(index)  # the index that an inner loop begins with
        m.d.comb += start.eq(Mux(coded, body.address << 2, address))
        with m.If(begins):
            m.d.sync += [
                step.word.eq(body.word),
                step.note.select.eq(Mux(grouped | coded, 0, body.pe)),
                step.note.address.eq(start),
                address.eq(start),
                indices.eq(count),
                first_indices.eq(count),
                others.eq(pes),
                first_others.eq(pes),
                last_index.eq(count == 0),
                last_other.eq(pes == 0),
                state.eq(4),
            ]

        # The next of each.
        with m.If(moves & step.note.last):
            m.d.sync += state.eq(1)
        with m.If(moves & (~coded | step.note.address[:2].all())):
            m.d.sync += step.word.eq(step.word + Mux(wide, 2, 1))
        with m.If(next_index):
            m.d.sync += [
                step.note.address.eq(Mux(last_index, address, step.note.address + 1)),
                indices.eq(Mux(last_index, first_indices, indices - 1)),
                last_index.eq(Mux(last_index, first_indices == 0, indices == 1)),
            ]
        with m.If(next_other):
            m.d.sync += [
                step.note.select.eq(Mux(last_other & grouped, 0, step.note.select + 1)),
                others.eq(Mux(last_other, first_others, others - 1)),
                last_other.eq(Mux(last_other, first_others == 0, others == 1)),
            ]
        return m
