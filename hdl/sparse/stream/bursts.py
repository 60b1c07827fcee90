"""Bursts of records, as long as there is room for their data."""

from amaranth.hdl import Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from hdl.config import Config
from hdl.lib.axi import Burst, BurstSplitter, ReadMaster
from hdl.lib.stream.block_fifo import BlockFifo
from hdl.lib.stream.forward_slice import ForwardSlice
from hdl.lib.stream.skid_buffer import SkidBuffer
from hdl.lib.stream.through import into, through
from hdl.sparse.words import Beat, place_of_record_layout, record_address

BEATS = 128  # of records asked for and not yet passed on
OUTSTANDING = 32  # bursts under way


class BurstReader(wiring.Component):
    """Members: `place`, stream of place_of_record_layout; `read`, an AXI read master, whose data is
    always taken; `beat`, stream of Beat; `idle`: all that was asked for has left.

    A beat a cycle and a burst every two cycles; latency from a place to its address 5 cycles, from
    data to its beat two. Room for data is a difference of two counters, of beats asked for and of
    beats that have left.
    """

    def __init__(self, config: Config):
        self.config = config
        super().__init__(
            {
                "place": In(stream.Signature(place_of_record_layout(config))),
                "read": Out(ReadMaster),
                "beat": Out(stream.Signature(Beat)),
                "idle": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()

        # Bursts.
        splitter, skid = BurstSplitter(record_address(self.config)), SkidBuffer(Burst)
        m.submodules.splitter = splitter
        request, place = splitter.request, self.place
        following = through(m, "bursts", skid, splitter.burst)
        m.d.comb += [
            request.valid.eq(place.valid),
            request.p.address.eq(place.p.begin << 3),
            request.p.words.eq(place.p.words),
            place.ready.eq(request.ready),
        ]

        # The next, with the beats asked for, itself counted.
        counter = Signal(range(2 * BEATS)).shape()
        asked, room = Signal(counter), Signal(counter)
        allowance = Signal(counter, init=BEATS)  # those that left, and BEATS
        counted = through(m, "counted", ForwardSlice(Burst), following)
        m.d.comb += room.eq(allowance - asked)
        with m.If(following.valid & following.ready):
            m.d.sync += asked.eq(asked + following.p.length + 1)

        # It is issued when there is room. Of bursts one more may be while they are counted.
        address = into(m, "address", ForwardSlice(Burst), wiring.flipped(self.read.address))
        answer, bursts, few = self.read.data, Signal(range(OUTSTANDING + 1)), Signal(init=1)
        issue = ~room[-1] & few
        m.d.comb += [
            address.valid.eq(counted.valid & issue),
            address.payload.eq(counted.payload),
            counted.ready.eq(address.ready & issue),
        ]
        m.d.sync += [
            bursts.eq(bursts + (address.valid & address.ready) - (answer.valid & answer.p.last)),
            few.eq(bursts < OUTSTANDING - 1),
        ]

        # Their data.
        m.submodules.beats = beats = BlockFifo(Beat, BEATS)
        come, leaves, left = beats.input, Signal(), Signal()  # left: a beat, a cycle ago
        m.d.comb += [
            come.p.data.eq(answer.p.data),
            come.p.bad.eq(answer.p.resp[1]),
            come.valid.eq(answer.valid),
            answer.ready.eq(1),
            leaves.eq(self.beat.valid & self.beat.ready),
            self.idle.eq(splitter.idle & ~skid.full & ~counted.valid & (room == BEATS)),
        ]
        wiring.connect(m, beats.output, wiring.flipped(self.beat))
        m.d.sync += [left.eq(leaves), allowance.eq(allowance + left)]
        return m
