"""Where the entries of a column lie: its pointer and the next one's (EIE's pointer read)."""

from amaranth.hdl import Cat, Module, Mux, Signal, signed, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from hdl.config import ENTRY_BITS, Config
from hdl.isa import Target
from hdl.sparse.words import SparseFill, bounds_layout, column_layout

STAGES = 4  # the column, the RAMs, their registers, the pointers in order


class PointerLookup(wiring.Component):
    """Members: `column`, stream of column_layout; `bounds`, stream of bounds_layout, of the columns
    that have entries; `fill`, writes the pointers; `bad`, a pulse: the pointers of a column fall,
    point beyond the weights or are not stored, and it is dropped; `busy`, a column is inside, but
    for what `bounds` shows.

    A column a cycle; latency STAGES + 1 cycles. The stages wait together, while `bounds` does; an
    empty column goes no further than the comparison of its pointers. p[column] and p[column + 1]
    are read at once, from two banks. Source: EIE (ISCA 2016), IV, pointer read unit.
    """

    def __init__(self, config: Config):
        self.config = config
        super().__init__(
            {
                "column": In(stream.Signature(column_layout(config))),
                "bounds": Out(stream.Signature(bounds_layout(config))),
                "fill": In(SparseFill),
                "bad": Out(1),
                "busy": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        c, bits = self.config, self.config.sparse_pointer_bits
        depth, bounds = c.sparse_pointers // 2, self.bounds
        move = Signal()
        m.d.comb += [move.eq(~bounds.valid | bounds.ready), self.column.ready.eq(move)]

        # A column, what is known of it beside the RAMs, and which stages hold one.
        note = data.StructLayout({"odd": 1, "beyond": 1, "value": signed(ENTRY_BITS)})
        head, valid = Signal(column_layout(c)), Signal(STAGES)
        asked, read, looked = (Signal(note, name=name) for name in ("asked", "read", "looked"))
        with m.If(move):
            m.d.sync += [
                valid.eq(Cat(self.column.valid, valid)),
                head.eq(self.column.payload),
                asked.odd.eq(head.column[0]),
                asked.value.eq(head.value),
                asked.beyond.eq(head.column >= c.sparse_pointers - 1),
                read.eq(asked),
                looked.eq(read),
            ]
        m.d.comb += self.busy.eq(valid.any())

        # The banks of even and odd columns: the second pointer of an odd one is in the next pair.
        places = {"even": (head.column + 1) >> 1, "odd": head.column >> 1}
        pointers = {name: Signal(bits, name=f"pointer_{name}") for name in places}
        for n, (name, place) in enumerate(places.items()):
            m.submodules[f"pointers_{name}"] = memory = Memory(
                shape=unsigned(bits), depth=depth, init=[], attrs={"ram_style": "block"}
            )
            write, show = memory.write_port(), memory.read_port()
            m.d.comb += [
                write.en.eq(self.fill.targets[Target.POINTERS]),
                write.addr.eq(self.fill.address),
                write.data.eq(self.fill.data.word_select(n, 32)),
                show.addr.eq(place),
                show.en.eq(move),
            ]
            with m.If(move):
                m.d.sync += pointers[name].eq(show.data)

        # In order.
        begin, end = Signal(bits), Signal(bits)
        with m.If(move):
            m.d.sync += [
                begin.eq(Mux(read.odd, pointers["odd"], pointers["even"])),
                end.eq(Mux(read.odd, pointers["even"], pointers["odd"])),
            ]

        # Compared.
        falls, far = Signal(), Signal()
        m.d.comb += [falls.eq(end < begin), far.eq(looked.beyond | (end > 8 * c.sparse_words))]
        m.d.sync += self.bad.eq(move & valid[-1] & (falls | far))
        with m.If(move):
            m.d.sync += [
                bounds.valid.eq(valid[-1] & (begin < end) & ~far),
                bounds.p.begin.eq(begin),
                bounds.p.end.eq(end),
                bounds.p.value.eq(looked.value),
            ]
        return m
