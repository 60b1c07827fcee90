"""What RUN and STREAM say to the searches of the PEs."""

from amaranth.hdl import Module, Mux
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hdl.config import Config
from hdl.isa import SparseRunBody
from hdl.sparse.words import search_signature


class SearchWords(wiring.Component):
    """Members: `body`, of a RUN, whose first fields are those of a STREAM too; `streaming`: it is
    one; `start`, a pulse; `pes`, as its signature in words.py says, but for `scanning`.

    Latency one cycle. A base beyond all columns is the highest number there is, and so stays
    beyond; that of a STREAM is 0.
    """

    def __init__(self, config: Config):
        self.config = config
        super().__init__(
            {
                "body": In(SparseRunBody),
                "streaming": In(1),
                "start": In(1),
                "pes": Out(search_signature(config)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        c, body, search = self.config, self.body, self.pes.search
        highest = (1 << c.sparse_column_bits) - 1

        m.d.comb += search.count.eq(body.count)
        m.d.sync += [
            self.pes.start.eq(self.start),
            self.pes.limit.eq(Mux(body.queue == 0, c.sparse_queue, body.queue)),
            search.address.eq(body.address + Mux(body.half, c.sparse_activations, 0)),
            search.base.eq(Mux(self.streaming, 0, body.base)),
        ]
        with m.If(~self.streaming & (body.base > highest)):
            m.d.sync += search.base.eq(highest)
        return m
