"""SPARSE_FILL: the global buffer into the memories of the sparse PEs."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import data, fifo, wiring
from amaranth.lib.wiring import Out

from hdl.buffer.words import READ_SIGNATURE
from hdl.config import ENTRY_BITS, LANES, PSUM_SLOT_BITS, Config, bits_for
from hdl.isa import SparseFillBody, Target
from hdl.lib.engine import engine_ports
from hdl.sparse.words import SparseFill

NOTES = 16  # words asked for and not yet come; covers the buffer's latency


class SparseFiller(wiring.Component):
    """Executes SPARSE_FILL (isa.SparseFillBody has the loops).

    Members: `command`, `done`; `glb` read port; `fills`, one SparseFill for each PE, applied
    in the cycle they are there, the last together with `done`. One word of the buffer a cycle
    (two for accumulators), and an entry of the codebook, each of which reads its word. Two cycles
    lost between commands, for the ends of the loops are compared in registers.
    """

    def __init__(self, config: Config):
        self.config = config
        super().__init__(
            engine_ports(SparseFillBody)
            | {"glb": Out(READ_SIGNATURE), "fills": Out(SparseFill).array(config.sparse_pes)}
        )

    def elaborate(self, platform):
        m = Module()
        c = self.config
        self.index = bits_for(
            max(c.sparse_words, c.sparse_pointers // 2, 2 * c.sparse_activations, 16)
        )
        m.submodules.notes = notes = fifo.SyncFIFO(width=self.note_layout().size, depth=NOTES)
        noted = Signal(self.note_layout())
        self._walk(m, notes)
        m.d.comb += noted.eq(notes.r_data)

        # ---- words as the reads come back -----------------------------------------------
        come = Signal()
        words = self.glb.response.payload
        m.d.comb += [
            come.eq(self.glb.response.valid & notes.r_rdy),
            self.glb.response.ready.eq(notes.r_rdy),
            notes.r_en.eq(come),
        ]
        m.d.sync += self.done.eq(come & noted.last)
        kept, code, address = Signal(128), Signal(ENTRY_BITS), Signal(self.index)  # of all PEs
        m.d.sync += [kept.eq(words), address.eq(noted.address)]
        m.d.sync += code.eq(words[:64].word_select(noted.address[:2], ENTRY_BITS))
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
            m.d.sync += fill.targets.eq(Mux(come, chosen, 0))
            m.d.comb += [
                fill.address.eq(address),
                fill.data.eq(kept[:64]),
                fill.code.eq(code),
                fill.psum.eq(kept.word_select(lane, PSUM_SLOT_BITS)),
                fill.entry.eq(kept.word_select(lane, ENTRY_BITS)),
            ]
        return m

    def note_layout(self) -> data.StructLayout:
        return data.StructLayout(
            {
                "target": 3,
                "select": bits_for(self.config.sparse_pes - 1),
                "address": self.index,
                "last": 1,
            }
        )

    def _walk(self, m: Module, notes: fifo.SyncFIFO) -> None:
        """Indices and PEs or groups that are left count down; which comes first within the other
        depends on the target."""
        c = self.config
        groups, select = c.sparse_pes // LANES, bits_for(c.sparse_pes - 1)
        # idle, a command has come, walks
        body, state = Signal(SparseFillBody), Signal(3, init=1)
        word, address, index = Signal(c.glb_word_bits), Signal(self.index), Signal(self.index)
        # left behind this one
        chosen, indices, others = Signal(select), Signal(self.index), Signal(select)
        first_others, first_indices = Signal(select), Signal(self.index)
        last_index, last_other, grouped, wide, coded = (
            Signal(name=n) for n in ("last_index", "last_other", "grouped", "wide", "coded")
        )
        room, step, note, request = (
            Signal(),
            Signal(),
            Signal(self.note_layout()),
            self.glb.request,
        )
        idle, begins, walks = state
        # One may come as this is found out. What has been told stays true until then.
        m.d.sync += room.eq((room & ~notes.w_en) | (notes.level < NOTES - 1))
        command = self.command.payload
        m.d.comb += [
            self.command.ready.eq(idle),
            request.valid.eq(walks & room),
            request.payload.eq(word),
            step.eq(request.valid & request.ready),
            note.target.eq(body.target),
            note.select.eq(chosen),
            note.address.eq(index),
            note.last.eq(last_index & last_other),
            notes.w_en.eq(step),
            notes.w_data.eq(note),
        ]
        with m.If(idle):
            m.d.sync += [
                body.eq(command),
                grouped.eq(
                    (command.target == Target.ACCUMULATORS) | (command.target == Target.ACTIVATIONS)
                ),
                wide.eq(command.target == Target.ACCUMULATORS),
                coded.eq(command.target == Target.CODEBOOK),
            ]
            with m.If(self.command.valid):
                m.d.sync += state.eq(2)
        with m.If(begins):
            count, pes = Signal(self.index), Signal(select)  # but one
            m.d.comb += [
                count.eq(Mux(coded, (body.count << 2) - 1, body.count - 1)),
                pes.eq(Mux(grouped, groups - 1, Mux(coded, 0, body.pes - 1))),
            ]
            m.d.sync += [
                word.eq(body.word),
                chosen.eq(Mux(grouped | coded, 0, body.pe)),
                index.eq(Mux(coded, body.address << 2, address)),
                indices.eq(count),
                first_indices.eq(count),
                others.eq(pes),
                first_others.eq(pes),
                last_index.eq(count == 0),
                last_other.eq(pes == 0),
                state.eq(4),
            ]
            m.d.sync += address.eq(Mux(coded, body.address << 2, address))
        with m.If(idle):
            m.d.sync += address.eq(
                command.address[: self.index]
                + Mux(
                    (command.target == Target.ACTIVATIONS) & command.half, c.sparse_activations, 0
                )
            )
        next_index, next_other = Signal(), Signal()
        m.d.comb += [
            next_index.eq(step & (~grouped | last_other)),
            next_other.eq(step & (grouped | last_index)),
        ]
        with m.If(step):
            with m.If(note.last):
                m.d.sync += state.eq(1)
            with m.If(~coded | index[:2].all()):
                m.d.sync += word.eq(word + Mux(wide, 2, 1))
        with m.If(next_index):
            m.d.sync += [
                index.eq(Mux(last_index, address, index + 1)),
                indices.eq(Mux(last_index, first_indices, indices - 1)),
                last_index.eq(Mux(last_index, first_indices == 0, indices == 1)),
            ]
        with m.If(next_other):
            m.d.sync += [
                chosen.eq(Mux(last_other & grouped, 0, chosen + 1)),
                others.eq(Mux(last_other, first_others, others - 1)),
                last_other.eq(Mux(last_other, first_others == 0, others == 1)),
            ]
