"""The activations of a sparse PE in block RAM, and the search for those that are not zero."""

from amaranth.hdl import Module, Mux, Signal, unsigned
from amaranth.lib import stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from hdl.config import ENTRY_BITS, Config
from hdl.isa import Target
from hdl.sparse.words import SparseFill, activation_place, column_layout, scan_layout


class Activations(wiring.Component):
    """Members: `number`, `scan`, `search`, `scanning`, `found`, `keep`, `keep_address`, `kept`,
    `looking`, `look`, `look_address` and `looked` as in SparsePe; `fill`, writes activations.

    An activation a cycle; the first is found four cycles after `scan`. What the RAM shows goes to a
    register, and from there to the next if it is not zero; all three wait together when nobody
    takes what was found. `looked` is that register. A column beyond all others stays at the highest
    number there is instead of wrapping. A fill of activations must not meet `keep`: they share a
    write port. Source: EIE (ISCA 2016), IV, distributed leading non-zero detection.
    """

    def __init__(self, config: Config):
        self.config = config
        super().__init__(
            {
                "number": In(8),
                "scan": In(1),
                "search": In(scan_layout(config)),
                "scanning": Out(1),
                "found": Out(stream.Signature(column_layout(config))),
                "fill": In(SparseFill),
                "keep": In(1),
                "keep_address": In(activation_place(config)),
                "kept": In(ENTRY_BITS),
                "looking": In(1),
                "look": In(1),
                "look_address": In(activation_place(config)),
                "looked": Out(ENTRY_BITS),
            }
        )

    def elaborate(self, platform):
        m = Module()
        c, found = self.config, self.found

        # Written by OUTPUT or a fill, read for a search or for DUMP.
        m.submodules.activations = activations = Memory(
            shape=unsigned(ENTRY_BITS),
            depth=2 * c.sparse_activations,
            init=[],
            attrs={"ram_style": "block"},
        )
        write, read = activations.write_port(), activations.read_port()
        address, step, word = Signal(read.addr.shape()), Signal(), Signal(ENTRY_BITS)
        m.d.comb += [
            write.en.eq(self.keep | self.fill.targets[Target.ACTIVATIONS]),
            write.addr.eq(Mux(self.keep, self.keep_address, self.fill.address)),
            write.data.eq(Mux(self.keep, self.kept, self.fill.entry)),
            read.en.eq(Mux(self.looking, self.look, step)),
            read.addr.eq(Mux(self.looking, self.look_address, address)),
            self.looked.eq(word),
        ]
        with m.If(read.en):
            m.d.sync += word.eq(read.data)

        # An activation at the address, in the RAM's output, in `word`; and its column.
        going, reading, shown = (Signal(name=name) for name in ("going", "reading", "shown"))
        column, read_column, shown_column = (
            Signal(c.sparse_column_bits, name=name)
            for name in ("column", "read_column", "shown_column")
        )
        room = Signal()
        m.d.comb += [
            room.eq(~found.valid | found.ready),
            step.eq(~shown | (word == 0) | room),
            self.scanning.eq(going | reading | shown | found.valid),
        ]
        with m.If(step):
            m.d.sync += [
                reading.eq(going),
                read_column.eq(column),
                shown.eq(reading),
                shown_column.eq(read_column),
            ]
        with m.If(room):
            m.d.sync += [
                found.valid.eq(shown & (word != 0)),
                found.p.column.eq(shown_column),
                found.p.value.eq(word),
            ]

        # The next, until the count is reached.
        left, following = Signal(self.search.count.shape()), Signal(c.sparse_column_bits + 1)
        m.d.comb += following.eq(
            Mux(self.scan, self.search.base, column) + Mux(self.scan, self.number, c.sparse_pes)
        )
        with m.If(self.scan | (step & going)):
            m.d.sync += column.eq(Mux(following[-1], ~0, following))
        with m.If(self.scan):
            m.d.sync += [
                address.eq(self.search.address),
                left.eq(self.search.count),
                going.eq(self.search.count != 0),
            ]
        with m.Elif(step & going):
            m.d.sync += [address.eq(address + 1), left.eq(left - 1), going.eq(left != 1)]
        return m
