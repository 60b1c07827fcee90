"""The activations of a sparse PE in block RAM, and the search for those that are not zero."""

from amaranth.hdl import Module, Mux, Signal, unsigned
from amaranth.lib import stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from hdl.config import ENTRY_BITS, Config, bits_for
from hdl.sparse.words import column_layout


class ActivationScan(wiring.Component):
    """Members: those of SparsePe of the same name; `write`, `write_address`,
    `write_data`, an activation's write.

    An activation a cycle; the first is found four cycles behind `scan`. What the RAM shows goes to
    a register, and from there to the next if it is not zero; all three wait together when nobody
    takes what was found. `looked` is that register. A column beyond all others stays at the highest
    number there is instead of wrapping.
    """

    def __init__(self, config: Config):
        self.config = config
        local = bits_for(2 * config.sparse_activations - 1)
        super().__init__(
            {
                "number": In(8),
                "scan": In(1),
                "scan_address": In(local),
                "scan_count": In(bits_for(config.sparse_activations)),
                "scan_base": In(config.sparse_column_bits),
                "scanning": Out(1),
                "found": Out(stream.Signature(column_layout(config))),
                "write": In(1),
                "write_address": In(local),
                "write_data": In(ENTRY_BITS),
                "looking": In(1),
                "look": In(1),
                "look_address": In(local),
                "looked": Out(ENTRY_BITS),
            }
        )

    def elaborate(self, platform):
        m = Module()
        c = self.config
        m.submodules.activations = activations = Memory(
            shape=unsigned(ENTRY_BITS),
            depth=2 * c.sparse_activations,
            init=[],
            attrs={"ram_style": "block"},
        )
        write, read = activations.write_port(), activations.read_port()
        at, left = Signal.like(self.scan_address), Signal.like(self.scan_count)
        # an activation at the address, in the RAM's output, in `word`
        going, reading, shown = Signal(), Signal(), Signal()
        column, read_column, shown_column = (
            Signal(c.sparse_column_bits, name=n) for n in ("column", "read_column", "shown_column")
        )
        word = Signal(ENTRY_BITS)
        step, room = Signal(), Signal()
        following = Signal(c.sparse_column_bits + 1)
        m.d.comb += [
            write.en.eq(self.write),
            write.addr.eq(self.write_address),
            write.data.eq(self.write_data),
            room.eq(~self.found.valid | self.found.ready),
            step.eq(~shown | (word == 0) | room),
            read.en.eq(Mux(self.looking, self.look, step)),
            read.addr.eq(Mux(self.looking, self.look_address, at)),
            following.eq(
                Mux(self.scan, self.scan_base, column) + Mux(self.scan, self.number, c.sparse_pes)
            ),
            self.looked.eq(word),
            self.scanning.eq(going | reading | shown | self.found.valid),
        ]
        with m.If(room):
            m.d.sync += self.found.valid.eq(shown & (word != 0))
            m.d.sync += [self.found.p.column.eq(shown_column), self.found.p.value.eq(word)]
        with m.If(read.en):
            m.d.sync += word.eq(read.data)
        with m.If(step):
            m.d.sync += [
                reading.eq(going),
                read_column.eq(column),
                shown.eq(reading),
                shown_column.eq(read_column),
            ]
        with m.If(self.scan | (step & going)):
            m.d.sync += column.eq(Mux(following[-1], ~0, following))
        with m.If(self.scan):
            m.d.sync += [
                at.eq(self.scan_address),
                left.eq(self.scan_count),
                going.eq(self.scan_count != 0),
            ]
        with m.Elif(step & going):
            m.d.sync += [at.eq(at + 1), left.eq(left - 1), going.eq(left != 1)]
        return m
