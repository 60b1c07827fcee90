"""AXI4 and AXI4-Lite interfaces, burst splitting and the address window."""

from amaranth.hdl import Module, Mux, Signal, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from hdl.timing import BURST

ADDRESS = 32
REQUEST_WORDS = 19  # bits of a request's word count, up to 2**18
OKAY = 0


class Burst(data.Struct):
    """Payload of AR and AW: INCR bursts of 8-byte beats."""

    address: ADDRESS
    length: 8  # beats - 1
    last: 1  # the last burst of a request marked last
    tag: 1  # of its request


class ReadData(data.Struct):
    data: 64
    resp: 2
    last: 1


class WriteData(data.Struct):
    data: 64
    strobe: 8
    last: 1


class Request(data.Struct):
    """A linear transfer of 64-bit words."""

    address: ADDRESS  # bytes, a multiple of 8
    words: REQUEST_WORDS
    last: 1  # free for the requester: marks the last of a command
    tag: 1  # free for the requester


class Range(data.Struct):
    """Bytes to be checked against a window, with the request they belong to."""

    begin: ADDRESS
    bytes: 22
    request: Request


ReadMaster = wiring.Signature(
    {
        "address": Out(stream.Signature(Burst)),
        "data": In(stream.Signature(ReadData)),
    }
)

WriteMaster = wiring.Signature(
    {
        "address": Out(stream.Signature(Burst)),
        "data": Out(stream.Signature(WriteData)),
        "response": In(stream.Signature(unsigned(2))),
    }
)


def master_ports() -> dict:
    """Flat AXI4 master: 64-bit data, 32-bit addresses, 1-bit IDs."""
    ports = {}
    for channel in ("aw", "ar"):
        ports |= {
            f"m_axi_{channel}id": Out(1),
            f"m_axi_{channel}addr": Out(ADDRESS),
            f"m_axi_{channel}len": Out(8),
            f"m_axi_{channel}size": Out(3),
            f"m_axi_{channel}burst": Out(2),
            f"m_axi_{channel}valid": Out(1),
            f"m_axi_{channel}ready": In(1),
        }
    ports |= {
        "m_axi_wdata": Out(64),
        "m_axi_wstrb": Out(8),
        "m_axi_wlast": Out(1),
        "m_axi_wvalid": Out(1),
        "m_axi_wready": In(1),
    }
    ports |= {
        "m_axi_bid": In(1),
        "m_axi_bresp": In(2),
        "m_axi_bvalid": In(1),
        "m_axi_bready": Out(1),
    }
    ports |= {
        "m_axi_rid": In(1),
        "m_axi_rdata": In(64),
        "m_axi_rresp": In(2),
        "m_axi_rlast": In(1),
        "m_axi_rvalid": In(1),
        "m_axi_rready": Out(1),
    }
    return ports


def lite_ports(prefix: str = "s_axi_") -> dict:
    """Flat AXI4-Lite slave: 32-bit data, 12-bit addresses."""
    return {
        prefix + name: member
        for name, member in {
            "awaddr": In(12),
            "awvalid": In(1),
            "awready": Out(1),
            "wdata": In(32),
            "wstrb": In(4),
            "wvalid": In(1),
            "wready": Out(1),
            "bresp": Out(2),
            "bvalid": Out(1),
            "bready": In(1),
            "araddr": In(12),
            "arvalid": In(1),
            "arready": Out(1),
            "rdata": Out(32),
            "rresp": Out(2),
            "rvalid": Out(1),
            "rready": In(1),
        }.items()
    }


class BurstSplitter(wiring.Component):
    """Splits requests into bursts of at most 64 beats inside a 4 KiB page.

    Members: `request` in, `burst` out; `idle` while it holds nothing. A request of no
    words vanishes. Latency one cycle, throughput one burst per cycle. address: bits of one.
    registered: `burst` is of registers; latency two cycles, one burst every two.
    """

    request: In(stream.Signature(Request))
    burst: Out(stream.Signature(Burst))
    idle: Out(1)

    def __init__(self, address: int = ADDRESS, registered: bool = False):
        self.address, self.registered = address, registered
        super().__init__()

    def elaborate(self, platform):
        m = Module()
        address = Signal(self.address)
        words = Signal(REQUEST_WORDS)
        last, tag = Signal(), Signal()
        room = Signal(7)  # beats to the limit of 64 or to the end of the page
        beats = Signal(7)
        final = Signal()

        def room_at(in_last, address):
            return Mux(in_last, BURST - address[3:9], BURST)

        m.d.comb += [
            beats.eq(Mux(words <= room, words[:7], room)),
            self.burst.p.address.eq(address),
            self.burst.p.last.eq(last & final),
            self.burst.p.tag.eq(tag),
        ]
        if self.registered:
            # words are left; what the next burst takes of them is known
            some, looked = Signal(), Signal()
            m.d.comb += [
                self.idle.eq(~some),
                self.burst.valid.eq(looked),
                self.request.ready.eq(~some | (looked & final & self.burst.ready)),
            ]
            with m.If(some & ~looked):
                m.d.sync += [
                    final.eq(words <= room),
                    self.burst.p.length.eq(beats - 1),
                    looked.eq(1),
                ]
            with m.If(looked & self.burst.ready):
                m.d.sync += [looked.eq(0), some.eq(~final)]
            with m.If(self.request.valid & self.request.ready):
                m.d.sync += some.eq(self.request.p.words != 0)
        else:
            m.d.comb += [
                final.eq(words <= room),
                self.idle.eq(words == 0),
                self.burst.valid.eq(words != 0),
                self.burst.p.length.eq(beats - 1),
                self.request.ready.eq((words == 0) | (final & self.burst.ready)),
            ]
        with m.If(self.burst.valid & self.burst.ready):
            # From an eighth of a page to the same place in the next, or to the next page.
            m.d.sync += [
                address.eq(address + (room << 3)),
                words.eq(Mux(final, 0, words - room)),
                room.eq(room_at(address[9:12] == 6, address)),
            ]
        with m.If(self.request.valid & self.request.ready):
            p = self.request.p
            m.d.sync += [
                address.eq(p.address),
                words.eq(p.words),
                last.eq(p.last),
                tag.eq(p.tag),
                room.eq(room_at(p.address[9:12].all(), p.address)),
            ]
        return m


class Window(wiring.Component):
    """Lets requests pass whose bytes lie in [base, limit).

    Members: `check` in, `request` out, `base` and `limit` (stable meanwhile), `outside`,
    `idle`. The first range outside stops the flow for good (until reset) and raises
    `outside`; `idle` then tells that all before it have left. Latency two cycles,
    throughput one request per cycle.

    registered: the comparison ends in a register, and whoever checks waits for no carry chain. One
    range more may then be taken behind the one outside; it goes nowhere.
    """

    check: In(stream.Signature(Range))
    request: Out(stream.Signature(Request))
    base: In(ADDRESS)
    limit: In(ADDRESS)
    outside: Out(1)
    idle: Out(1)

    def __init__(self, registered: bool = False):
        self.registered = registered
        super().__init__()

    def elaborate(self, platform):
        m = Module()
        begin = Signal(ADDRESS)
        end = Signal(ADDRESS + 1)
        held = Signal(Request)
        full = Signal()
        outside = Signal()
        move = Signal()
        fits = Signal()
        m.d.comb += [
            fits.eq((begin >= self.base) & (end <= self.limit)),
            self.outside.eq(outside),
            self.check.ready.eq((~full | move) & ~outside),
        ]
        if self.registered:
            m.d.comb += [
                move.eq(full & ~outside & (~self.request.valid | self.request.ready)),
                self.idle.eq(~self.request.valid & (~full | outside)),
            ]
            m.d.sync += outside.eq(outside | (move & ~fits))
        else:
            m.d.comb += [
                move.eq(full & fits & (~self.request.valid | self.request.ready)),
                outside.eq(full & ~fits),
                self.idle.eq(~self.request.valid & (~full | outside)),
            ]
        with m.If(self.request.ready):
            m.d.sync += self.request.valid.eq(0)
        with m.If(move):
            m.d.sync += [
                full.eq(0),
                self.request.valid.eq(fits if self.registered else 1),
                self.request.payload.eq(held),
            ]
        with m.If(self.check.valid & self.check.ready):
            m.d.sync += [
                full.eq(1),
                begin.eq(self.check.p.begin),
                held.eq(self.check.p.request),
                end.eq(self.check.p.begin + self.check.p.bytes),
            ]
        return m
