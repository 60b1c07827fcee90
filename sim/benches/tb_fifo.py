"""Bench of a stream FIFO; the pattern of a bench: once with random stalls, once with none."""

import random

import cocotb
from amaranth.hdl import Module
from amaranth.lib import fifo, stream, wiring
from amaranth.lib.wiring import In, Out
from cocotb.clock import Clock
from cocotb.triggers import ReadOnly, RisingEdge


class StreamFifo(wiring.Component):
    """amaranth.lib's buffered FIFO between two streams of 16 bits."""

    i: In(stream.Signature(16))
    o: Out(stream.Signature(16))

    def elaborate(self, platform):
        m = Module()
        m.submodules.fifo = f = fifo.SyncFIFOBuffered(width=16, depth=4)
        wiring.connect(m, wiring.flipped(self.i), f.w_stream)
        wiring.connect(m, f.r_stream, wiring.flipped(self.o))
        return m


def component():
    return StreamFifo()


async def reset(dut):
    Clock(dut.clk, 2, unit="step").start()
    dut.i__valid.value = 0
    dut.o__ready.value = 0
    dut.rst.value = 1
    for _ in range(2):
        await RisingEdge(dut.clk)
    dut.rst.value = 0


async def send(dut, words, stall):
    """Offers the words; valid holds until each is taken."""
    for word in words:
        while random.random() < stall:
            dut.i__valid.value = 0
            await RisingEdge(dut.clk)
        dut.i__valid.value = 1
        dut.i__payload.value = word
        while True:
            await ReadOnly()
            taken = dut.i__ready.value == 1
            await RisingEdge(dut.clk)
            if taken:
                break
    dut.i__valid.value = 0


async def receive(dut, cycles, stall):
    """What comes out during a number of cycles, and the cycle it came in."""
    out = []
    for cycle in range(cycles):
        dut.o__ready.value = int(random.random() >= stall)
        await ReadOnly()
        if dut.o__valid.value == 1 and dut.o__ready.value == 1:
            out.append((cycle, int(dut.o__payload.value)))
        await RisingEdge(dut.clk)
    return out


@cocotb.test()
async def random_stalls(dut):
    await reset(dut)
    words = [random.randrange(1 << 16) for _ in range(200)]
    cocotb.start_soon(send(dut, words, 0.4))
    out = await receive(dut, 1500, 0.4)
    assert [w for _, w in out] == words


@cocotb.test()
async def full_rate(dut):
    await reset(dut)
    words = list(range(100))
    cocotb.start_soon(send(dut, words, 0))
    out = await receive(dut, 150, 0)
    assert [w for _, w in out] == words
    assert out[-1][0] - out[0][0] == 99
