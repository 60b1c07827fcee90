"""A part's own reset."""

from amaranth.hdl import (
    ClockDomain,
    ClockSignal,
    DomainRenamer,
    Module,
    ResetSignal,
    Signal,
    ValueLike,
)


def near_reset(m: Module, name: str, held: ValueLike = 0) -> tuple[DomainRenamer, Signal]:
    """(what puts components of `m` into a domain with a reset of their own, called `name`, a cycle
    late; that reset).

    An FPGA has no tree of wires for a net to every register. No ResetInserter, which would make
    every module distinct. held: lasts as long as this; without a difference in it Yosys would make
    one register of those of two parts.
    """
    reset = Signal(init=1, reset_less=True)
    m.d.sync += reset.eq(ResetSignal(allow_reset_less=True) | held)
    m.domains += (near := ClockDomain(name, local=True))
    m.d.comb += [near.clk.eq(ClockSignal()), near.rst.eq(reset)]
    return DomainRenamer({"sync": name}), reset
