"""Events of the sparse PEs, summed."""

from amaranth.hdl import Module, Mux
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from hdl.config import Config
from hdl.sparse.words import EVENTS


class SparseCounters(wiring.Component):
    """Members: `events` and `paddings` of the PEs; `full`, of the PEs, which have no room for a
    record's word; `running`, RUN or STREAM is under way; `waiting`, a column is at the root, and
    `spreading`, a record's word is out; `macs`, `starved`, `blocked`, `padding`, sums of a cycle
    ago: of PEs that are starved while it runs, and that hold the column or the word up.
    """

    NAMES = ("macs", "starved", "blocked", "padding")

    def __init__(self, config: Config):
        k = config.sparse_pes
        super().__init__(
            {
                "events": In(data.ArrayLayout(len(EVENTS), k)),
                "paddings": In(data.ArrayLayout(4, k)),
                "full": In(k),
                "running": In(1),
                "waiting": In(1),
                "spreading": In(1),
                "macs": Out(range(k + 1)),
                "starved": Out(range(k + 1)),
                "blocked": Out(range(k + 1)),
                "padding": Out(range(8 * k + 1)),
            }
        )

    def elaborate(self, platform):
        m = Module()

        # A PE's own event `full` is of its columns.
        totals = {name: sum(event[n] for event in self.events) for n, name in enumerate(EVENTS)}
        full = Mux(self.spreading, sum(self.full), totals["full"])
        m.d.sync += [
            self.macs.eq(totals["mac"]),
            self.starved.eq(Mux(self.running, totals["starved"], 0)),
            self.blocked.eq(Mux(self.waiting | self.spreading, full, 0)),
            self.padding.eq(sum(self.paddings)),
        ]
        return m
