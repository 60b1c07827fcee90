"""AXI4 and AXI4-Lite interfaces, burst splitting and the address window."""

from amaranth.hdl import Module, Mux, Signal, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from hdl.timing import BURST

ADDRESS = 32
REQUEST_WORDS = 19  # bits of a request's word count, up to 2**18
OKAY, DECERR = 0, 3  # responses


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

    Members: `request` in, `burst` out; `idle` while it holds nothing. A request of no words
    vanishes. address: bits of an address that are kept.

    Latency one cycle, throughput one burst a cycle; a request of no words takes a cycle too.
    `request.ready` waits for `burst.ready` in the same cycle, and no carry chain leads to either.
    """

    request: In(stream.Signature(Request))
    burst: Out(stream.Signature(Burst))
    idle: Out(1)

    def __init__(self, address: int = ADDRESS):
        self.address = address
        super().__init__()

    def elaborate(self, platform):
        m = Module()
        address = Signal(self.address)
        words = Signal(REQUEST_WORDS)
        some, last, tag = Signal(), Signal(), Signal()
        final = Signal()  # of the request, found with its words
        take, move = Signal(), Signal()
        m.d.comb += [
            self.idle.eq(~some),
            self.request.ready.eq(~some | (final & self.burst.ready)),
            take.eq(self.request.valid & self.request.ready),
            move.eq(self.burst.valid & self.burst.ready),
        ]

        # Words of a full burst that would lie beyond the page: only in a page's last eighth, as
        # many as the address is into it.
        def beyond(address):
            return address[3:9] & address[9:12].all().replicate(6)

        m.d.comb += [
            self.burst.valid.eq(some),
            self.burst.p.address.eq(address),
            self.burst.p.length.eq(Mux(final, words[:6] - 1, ~beyond(address))[:6]),
            self.burst.p.last.eq(last & final),
            self.burst.p.tag.eq(tag),
        ]

        # The next request, or from an eighth of a page to the same place in the next, or to the
        # next page. Whether its first burst is its last one is found beside its words, not from
        # them: what is left after a full burst ends with the next one if no more than two fit.
        next_address, next_words = Signal(self.address), Signal(REQUEST_WORDS)
        next_final = Signal()
        with m.If(~some | final):
            m.d.comb += [
                next_address.eq(self.request.p.address),
                next_words.eq(self.request.p.words),
                next_final.eq(self.request.p.words + beyond(self.request.p.address) <= BURST),
            ]
        with m.Else():
            near_end = address[10:12].all()  # this eighth or the next is the page's last
            m.d.comb += [
                next_address[9:].eq(address[9:] + 1),
                next_address[3:9].eq(Mux(address[9:12].all(), 0, address[3:9])),
                next_words.eq(words + beyond(address) - BURST),
                next_final.eq(words + (address[3:9] & near_end.replicate(6)) <= 2 * BURST),
            ]
        with m.If(move):
            m.d.sync += some.eq(~final)
        with m.If(take):
            m.d.sync += [
                some.eq(self.request.p.words != 0),
                last.eq(self.request.p.last),
                tag.eq(self.request.p.tag),
            ]
        with m.If(take | move):
            m.d.sync += [
                address.eq(next_address),
                words.eq(next_words),
                final.eq(next_final),
            ]
        return m


class Window(wiring.Component):
    """Lets requests pass whose bytes lie in [base, limit).

    Members: `check` in, `request` out, `base` and `limit` (stable meanwhile), `outside`, `idle`.
    The first range outside stops the flow for good (until reset) and raises `outside`; one range
    more may be taken after it, which goes nowhere. `idle` with `outside` tells that all before it
    have left. address: bits of an address, and of a range's end one more.

    Latency two cycles, throughput one request a cycle. The comparison ends in a register, so
    whoever checks waits for no carry chain; `check.ready` waits for `request.ready` in the same
    cycle.
    """

    def __init__(self, address: int = ADDRESS):
        self.address = address
        super().__init__(
            {
                "check": In(stream.Signature(Range)),
                "request": Out(stream.Signature(Request)),
                "base": In(address),
                "limit": In(address),
                "outside": Out(1),
                "idle": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        begin = Signal(self.address)
        end = Signal(self.address + 1)
        held = Signal(Request)
        full, move, fits = Signal(), Signal(), Signal()
        m.d.comb += [
            fits.eq((begin >= self.base) & (end <= self.limit)),
            move.eq(full & ~self.outside & (~self.request.valid | self.request.ready)),
            self.check.ready.eq((~full | move) & ~self.outside),
            self.idle.eq(~self.request.valid & (~full | self.outside)),
        ]

        # What fits goes on; the first that does not stops all that follow.
        with m.If(self.request.ready):
            m.d.sync += self.request.valid.eq(0)
        with m.If(move):
            m.d.sync += [
                full.eq(0),
                self.outside.eq(~fits),
                self.request.valid.eq(fits),
                self.request.payload.eq(held),
            ]

        # The next range.
        with m.If(self.check.valid & self.check.ready):
            m.d.sync += [
                full.eq(1),
                begin.eq(self.check.p.begin),
                held.eq(self.check.p.request),
                end.eq(self.check.p.begin + self.check.p.bytes),
            ]
        return m
