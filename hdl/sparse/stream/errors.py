"""Which error the oldest command of the sparse engine has met."""

from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hdl.config import Config
from hdl.isa import Error


class SparseErrors(wiring.Component):
    """Members: `met`, of the PEs; `pending`, of the PEs, which have words of the STREAM that is
    `marked`; `records`, the error of the spreader; `outside`, of the fetcher: the next record is,
    and `drained`, nothing before it is on its way to the sums; `error`, until reset.

    An error belongs to the command marked if a PE meets it before the mark; otherwise to the one
    after, which is the oldest only when the mark has passed. Latency one cycle.
    """

    def __init__(self, config: Config):
        super().__init__(
            {
                "met": In(config.sparse_pes),
                "pending": In(config.sparse_pes),
                "marked": In(1),
                "records": In(Error),
                "outside": In(1),
                "drained": In(1),
                "error": Out(Error),
            }
        )

    def elaborate(self, platform):
        m = Module()

        # Of the PEs.
        with m.If((self.met & (self.pending | (~self.marked).replicate(len(self.met)))).any()):
            m.d.sync += self.error.eq(Error.SPARSE_STREAM)

        # Of records. Columns found after the one outside may wait for ever.
        with m.Elif((self.error == Error.NONE) & ~self.marked):
            with m.If(self.records != Error.NONE):
                m.d.sync += self.error.eq(self.records)
            with m.Elif(self.outside & self.drained):
                m.d.sync += self.error.eq(Error.READ_WINDOW)
        return m
