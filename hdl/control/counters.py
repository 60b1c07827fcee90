"""Performance counters, one per name in isa.COUNTERS."""

from amaranth.hdl import Array, Cat, Module, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from hdl.config import Config, bits_for
from hdl.isa import COUNTERS

# Counted at the edge; the others come from the core.
EDGE_EVENTS = (
    "cycles",
    "dram_read_bytes",
    "dram_write_bytes",
    "command_bytes",
    "load_busy",
    "store_busy",
    "load_wait",
    "store_wait",
    "sparse_bytes",
)
CORE_EVENTS = tuple(n for n in COUNTERS if n not in EDGE_EVENTS)

LOW = 32  # bits of the low half; its carry has a cycle of its own


def event_width(config: Config, name: str) -> int:
    """Bits of an event: its largest increment in one cycle."""
    if name.startswith("macs"):
        return bits_for(config.multipliers)
    if name.startswith("pe_"):
        return bits_for(config.pes)
    if name in ("sparse_macs", "sparse_starved", "sparse_blocked"):
        return bits_for(config.sparse_pes)
    if name == "sparse_padding":
        return bits_for(8 * config.sparse_pes)
    if name in ("glb_reads", "glb_writes"):
        return bits_for(2 * config.glb_pairs)
    if name.endswith("_bytes"):
        return bits_for(8)
    return 1


def events(config: Config, names: tuple[str, ...]) -> data.StructLayout:
    """Increments by name."""
    return data.StructLayout({n: event_width(config, n) for n in names})


class Counters(wiring.Component):
    """64-bit counters of `events` while `enable`; `clear` sets all to 0.

    `value` is counter `index` two cycles later, and every event is in it after four.
    Without `config.counters` only `cycles` exists and the others read as 0.
    """

    def __init__(self, config: Config):
        self.config = config
        super().__init__(
            {
                "events": In(events(config, COUNTERS)),
                "enable": In(1),
                "clear": In(1),
                "index": In(range(len(COUNTERS))),
                "value": Out(64),
            }
        )

    def elaborate(self, platform):
        m = Module()
        values = []
        for name in COUNTERS:
            if name != "cycles" and not self.config.counters:
                values.append(0)
                continue
            step = Signal(event_width(self.config, name), name=f"{name}_step")
            low = Signal(LOW + 1, name=f"{name}_low")
            high = Signal(64 - LOW, name=f"{name}_high")
            # The carry waits a cycle in the top bit of the low half.
            m.d.sync += [step.eq(0), low.eq(low[:LOW] + step), high.eq(high + low[LOW])]
            with m.If(self.enable):
                m.d.sync += step.eq(self.events[name])
            with m.If(self.clear):
                m.d.sync += [step.eq(0), low.eq(0), high.eq(0)]
            value = Signal(64, name=name)
            m.d.comb += value.eq(Cat(low[:LOW], high))
            values.append(value)
        index = Signal.like(self.index)
        m.d.sync += [index.eq(self.index), self.value.eq(Array(values)[index])]
        return m
