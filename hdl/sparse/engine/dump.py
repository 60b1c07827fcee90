"""SPARSE_DUMP: activations of the PEs into the global buffer."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hdl.buffer.words import WRITE_SIGNATURE
from hdl.config import LANES, WORD_BITS, Config, bits_for
from hdl.isa import SparseDumpBody
from hdl.sparse.words import dump_signature, start_signature


class DumpSequencer(wiring.Component):
    """Looks up the activations of four PEs after the other, and writes them as words.

    Members: `command` and `pes`, as their signatures in words.py say; `glb`, write port. The
    command ends when the last word is taken.

    A word a cycle; latency from `start` three cycles. Addresses, what the RAMs show and their
    registers move together.
    """

    def __init__(self, config: Config):
        self.config = config
        super().__init__(
            {
                "command": In(start_signature(SparseDumpBody)),
                "pes": Out(dump_signature(config)),
                "glb": Out(WRITE_SIGNATURE),
            }
        )

    def elaborate(self, platform):
        m = Module()
        c, command, body, pes, glb = (
            self.config,
            self.command,
            self.command.body,
            self.pes,
            self.glb,
        )
        groups = c.sparse_pes // LANES

        # Four PEs that are asked, whose RAMs are read, and whose registers show.
        asking, reading = Signal(), Signal()
        group, read_group, shown_group = (
            Signal(range(max(2, groups)), name=name)
            for name in ("group", "read_group", "shown_group")
        )
        move = ~glb.valid | glb.ready
        m.d.comb += [pes.look.eq(move), command.ends.eq(pes.looking & ~asking & ~reading & move)]
        with m.If(command.start):
            m.d.sync += [pes.looking.eq(1), asking.eq(1)]
        with m.If(command.ends):
            m.d.sync += pes.looking.eq(0)
        with m.If(pes.looking & move):
            m.d.sync += [
                reading.eq(asking),
                glb.valid.eq(reading),
                read_group.eq(group),
                shown_group.eq(read_group),
            ]

        # The next four, of the same place or the next.
        left, last = Signal(bits_for(c.sparse_activations)), Signal()
        with m.If(pes.looking & move & asking):
            m.d.sync += group.eq(group + 1)
            with m.If(group == groups - 1):
                m.d.sync += [
                    group.eq(0),
                    pes.address.eq(pes.address + 1),
                    left.eq(left - 1),
                    last.eq(left == 2),
                ]
                with m.If(last):
                    m.d.sync += asking.eq(0)

        # Their word. A signal of its own: of one that a Switch drives in part, the part that is
        # constant would be a process that waits for nothing, in Verilog.
        word, at = Signal(WORD_BITS), Signal.like(glb.p.word)
        with m.Switch(shown_group):
            for n in range(groups):
                with m.Case(n):
                    m.d.comb += word.eq(pes.looked.as_value().word_select(n, WORD_BITS))
        m.d.comb += [glb.p.word.eq(at), glb.p.data.eq(word), glb.p.mask.eq(0x0F)]
        with m.If(glb.valid & glb.ready):
            m.d.sync += at.eq(at + 1)

        # The command, until it starts.
        with m.If(~pes.looking & ~command.start):
            m.d.sync += [
                group.eq(0),
                at.eq(body.word),
                left.eq(body.count),
                last.eq(body.count == 1),
                pes.address.eq(body.address + Mux(body.half, c.sparse_activations, 0)),
            ]
        return m
