"""The tree that brings the PEs' non-zero activations to its root (EIE, ISCA 2016, section IV)."""

from amaranth.hdl import Cat, Module
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from hdl.config import Config
from hdl.lib.stream.skid_buffer import SkidBuffer
from hdl.lib.stream.through import through
from hdl.sparse.engine.lnzd import FAN_IN, LnzdNode
from hdl.sparse.words import column_layout


class DetectionTree(wiring.Component):
    """Members: `found`, a stream of column_layout of each PE; `root`, stream of all of them;
    `waits`, something is inside.

    One a cycle; latency one cycle for each level of nodes, a node for four. Each PE ends in a
    SkidBuffer, so that its search does not wait for what others found in the same cycle, and so
    does the root.
    """

    def __init__(self, config: Config):
        self.config = config
        column = stream.Signature(column_layout(config))
        super().__init__(
            {"found": In(column).array(config.sparse_pes), "root": Out(column)} | {"waits": Out(1)}
        )

    def elaborate(self, platform):
        m = Module()
        layout = column_layout(self.config)

        # What the PEs found.
        skids = [SkidBuffer(layout) for _ in self.found]
        level = [
            through(m, f"found_{n}", skid, wiring.flipped(found))
            for n, (skid, found) in enumerate(zip(skids, self.found))
        ]
        waits = [skid.full for skid in skids]

        # Nodes, level by level.
        depth = 0
        while len(level) > 1:
            above = []
            for first in range(0, len(level), FAN_IN):
                m.submodules[f"lnzd_{depth}_{first // FAN_IN}"] = node = LnzdNode(layout)
                for n, child in enumerate(level[first : first + FAN_IN]):
                    wiring.connect(m, child, getattr(node, f"child_{n}"))
                above.append(node.output)
            waits += [output.valid for output in above]
            level, depth = above, depth + 1

        # The root.
        end = SkidBuffer(layout)
        wiring.connect(m, through(m, "root_cut", end, level[0]), wiring.flipped(self.root))
        m.d.comb += self.waits.eq(Cat(*waits, end.full).any())
        return m
