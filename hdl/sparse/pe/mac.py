"""Multiply and accumulate of a sparse PE in a DSP block and a block RAM."""

from amaranth.hdl import Module, Mux, Signal, signed, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from hdl.config import ENTRY_BITS, Config, bits_for
from hdl.isa import Target
from hdl.lib.arithmetic.multiplier import Multiplier
from hdl.lib.arithmetic.select_adder import SelectAdder
from hdl.sparse.words import SparseFill, mac_layout


class SparseMac(wiring.Component):
    """accumulator[row] += codebook[index] * value, one a cycle, whatever the rows.

    Members: `mac`, stream of mac_layout that never waits; `fill`, writes codebook and accumulators;
    `row`, `show`, `clear`: reads an accumulator and clears it, `accumulator` is it two cycles
    later, and 0 where none was shown; `busy`, a product is inside.

    A sum is written three cycles after its `mac`. It takes a read address, the RAM's output and a
    register to the adder. The sum of the operation before, on the same row, is taken from the
    adder's register; that of the one before comes to the register after the RAM instead of what the
    RAM shows, which then may be neither the old nor the new. A fill of accumulators must not meet a
    MAC or `clear`, nor `show` a MAC: they share ports. Source: EIE (ISCA 2016), IV, arithmetic
    unit.
    """

    def __init__(self, config: Config):
        self.config = config
        super().__init__(
            {
                "mac": In(stream.Signature(mac_layout(config), always_ready=True)),
                "fill": In(SparseFill),
                "row": In(range(config.sparse_rows)),
                "show": In(1),
                "clear": In(1),
                "accumulator": Out(signed(config.psum_bits)),
                "busy": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        c, fill, mac = self.config, self.fill, self.mac.p

        # In the multiplier: its operands, the array, and the product, which is added.
        place = data.StructLayout({"valid": 1, "row": bits_for(c.sparse_rows - 1)})
        first, second, third = (Signal(place, name=n) for n in ("first", "second", "third"))
        m.d.sync += [
            first.valid.eq(self.mac.valid),
            first.row.eq(mac.row),
            second.eq(first),
            third.eq(second),
        ]
        m.d.comb += self.busy.eq(first.valid | second.valid | third.valid)

        # The weight that the index means, times the activation.
        m.submodules.codebook = codebook = Memory(shape=unsigned(ENTRY_BITS), depth=16, init=[])
        m.submodules.multiplier = multiplier = Multiplier()
        look, write = codebook.read_port(domain="comb"), codebook.write_port()
        m.d.comb += [
            write.en.eq(fill.targets[Target.CODEBOOK]),
            write.addr.eq(fill.address),
            write.data.eq(fill.code),
            look.addr.eq(mac.index),
            multiplier.w.eq(look.data),
            multiplier.a.eq(mac.value),
            multiplier.load.eq(1),
            multiplier.advance.eq(1),
        ]

        # The sum so far: of the RAM, of the adder two operations ago, or of the last.
        m.submodules.accumulators = sums = Memory(
            shape=unsigned(c.psum_bits), depth=c.sparse_rows, init=[], attrs={"ram_style": "block"}
        )
        m.submodules.adder = adder = SelectAdder(c.psum_bits)
        read, again, at_once, twice, shown = (
            sums.read_port(),
            *(Signal(name=name) for name in ("again", "at_once", "twice", "shown")),
        )
        held, total = Signal(c.psum_bits), Signal(c.psum_bits)
        m.d.comb += [
            read.en.eq(1),
            read.addr.eq(Mux(first.valid, first.row, self.row)),
            adder.own.eq(multiplier.product),
            adder.one.eq(total),
            adder.other.eq(held),
            adder.select.eq(at_once),
            self.accumulator.eq(held),
        ]
        m.d.sync += [
            again.eq(first.valid & second.valid & (first.row == second.row)),
            at_once.eq(again),
            twice.eq(first.valid & third.valid & (first.row == third.row)),
            shown.eq(self.show),
            total.eq(adder.total),
            held.eq(Mux(second.valid | shown, Mux(twice, total, read.data), 0)),
        ]

        # Written: a sum, a zero, or what fills.
        keep, cleared, cleared_row = sums.write_port(), Signal(), Signal.like(self.row)
        m.d.sync += [cleared.eq(self.clear), cleared_row.eq(self.row)]
        m.d.comb += [
            keep.en.eq(third.valid | cleared | fill.targets[Target.ACCUMULATORS]),
            keep.addr.eq(Mux(third.valid, third.row, Mux(cleared, cleared_row, fill.address))),
            keep.data.eq(Mux(third.valid, adder.total, Mux(cleared, 0, fill.psum))),
        ]
        return m
