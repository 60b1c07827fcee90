"""Which row of its filter spad a PE reads that leaves zeros out."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import wiring

from hdl.array.pe.filters.address import FilterAddress, address_ports, walk_ports
from hdl.config import Config


class SkippingFilterAddress(wiring.Component):
    """With `skip` that of the entry: its place times `p`, and the filter's index. Members:
    `address_ports`."""

    def __init__(self, config: Config):
        self.config = config
        super().__init__(address_ports(config))

    def elaborate(self, platform):
        m = Module()
        m.submodules.dense = dense = FilterAddress(self.config)
        for name in walk_ports(self.config):
            m.d.comb += getattr(dense, name).eq(getattr(self, name))

        p = Signal(8)
        with m.If(self.load):
            m.d.sync += p.eq(self.p)
        m.d.comb += [self.address.eq(dense.address), self.half.eq(dense.half)]
        with m.If(self.skip):
            first = Mux(dense.half, self.config.filter_half, 0)
            m.d.comb += self.address.eq(first + self.entry[:8] * p + self.index)
        return m
