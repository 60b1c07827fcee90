"""Multiply and accumulate of a sparse PE in a DSP block and a block RAM."""

from amaranth.hdl import Module, Mux, Signal, signed, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from hdl.config import ENTRY_BITS, Config, bits_for
from hdl.lib.arithmetic.multiplier import Multiplier
from hdl.lib.arithmetic.select_adder import SelectAdder


class SparseMac(wiring.Component):
    """accumulator[row] += codebook[index] * value, one a cycle, whatever the rows.

    Members: `valid`, `row`, `index`, `value`; `code`, `code_address`, `code_data`: write of the
    codebook; `fill`, `fill_address`, `fill_data`: of an accumulator; `show`, `clear`, `own_row`:
    reads an accumulator and clears it, `accumulator` is it two cycles later, and 0 where none was
    shown; `busy`.

    A sum is written three cycles behind its `valid`. It takes a read address, the RAM's output and
    a register to the adder. The sum of the operation before, on the same row, is taken from the
    adder's register; that of the one before comes to the register behind the RAM instead of what
    the RAM shows, which then may be neither the old nor the new.
    """

    def __init__(self, config: Config):
        self.config = config
        row = range(config.sparse_rows)
        super().__init__(
            {
                "valid": In(1),
                "row": In(row),
                "index": In(4),
                "value": In(signed(ENTRY_BITS)),
                "code": In(1),
                "code_address": In(4),
                "code_data": In(ENTRY_BITS),
                "fill": In(1),
                "fill_address": In(row),
                "fill_data": In(config.psum_bits),
                "show": In(1),
                "clear": In(1),
                "own_row": In(row),
                "accumulator": Out(signed(config.psum_bits)),
                "busy": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        c = self.config
        m.submodules.codebook = codebook = Memory(shape=unsigned(ENTRY_BITS), depth=16, init=[])
        k_read, k_write = codebook.read_port(domain="comb"), codebook.write_port()
        m.submodules.accumulators = sums = Memory(
            shape=unsigned(c.psum_bits), depth=c.sparse_rows, init=[], attrs={"ram_style": "block"}
        )
        read, write = sums.read_port(), sums.write_port()
        m.submodules.multiplier = multiplier = Multiplier()
        m.submodules.adder = adder = SelectAdder(c.psum_bits)
        # in the multiplier: its operands, the array, and the product, which is added
        stage = data.StructLayout({"valid": 1, "row": bits_for(c.sparse_rows - 1)})
        first, second, third = (Signal(stage, name=n) for n in ("first", "second", "third"))
        again, at_once, twice = Signal(), Signal(), Signal()
        held, total = Signal(c.psum_bits), Signal(c.psum_bits)
        shown, cleared, cleared_row = Signal(), Signal(), Signal.like(self.own_row)
        m.d.comb += [
            k_write.en.eq(self.code),
            k_write.addr.eq(self.code_address),
            k_write.data.eq(self.code_data),
            k_read.addr.eq(self.index),
            multiplier.w.eq(k_read.data),
            multiplier.a.eq(self.value),
            multiplier.load.eq(1),
            multiplier.advance.eq(1),
            read.en.eq(1),
            read.addr.eq(Mux(first.valid, first.row, self.own_row)),
            adder.own.eq(multiplier.product),
            adder.one.eq(total),
            adder.other.eq(held),
            adder.select.eq(at_once),
            write.en.eq(third.valid | cleared | self.fill),
            write.addr.eq(
                Mux(third.valid, third.row, Mux(cleared, cleared_row, self.fill_address))
            ),
            write.data.eq(Mux(third.valid, adder.total, Mux(cleared, 0, self.fill_data))),
            self.accumulator.eq(held),
            self.busy.eq(first.valid | second.valid | third.valid),
        ]
        m.d.sync += [
            first.valid.eq(self.valid),
            first.row.eq(self.row),
            second.eq(first),
            third.eq(second),
            again.eq(first.valid & second.valid & (first.row == second.row)),
            at_once.eq(again),
            twice.eq(first.valid & third.valid & (first.row == third.row)),
            shown.eq(self.show),
            cleared.eq(self.clear),
            cleared_row.eq(self.own_row),
            total.eq(adder.total),
            held.eq(Mux(second.valid | shown, Mux(twice, total, read.data), 0)),
        ]
        return m
