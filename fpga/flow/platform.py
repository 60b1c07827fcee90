"""The top of a bitstream: a BoardTop on a board's pins."""

from amaranth.hdl import ClockDomain, Elaboratable, Module, Signal
from amaranth.lib import io
from amaranth.lib.cdc import ResetSynchronizer
from amaranth.vendor import LatticePlatform

from fpga.boards import Board
from fpga.memory.port import memory_of
from fpga.pll import Ecp5Pll
from fpga.top import BoardTop

# Both ways a register in the pad, so that the times at the pins do not depend on placement.
SDRAM_DELAY = 2
# The part's clock is late by that: commands are there 3/4 cycle before its edge, its words 3/8 to
# 1/2 before ours.
SDRAM_SHIFT = 270


def board_top(board: Board) -> BoardTop:
    return BoardTop(
        board.config,
        board.clock_hz,
        board.baud,
        memory_of(board.memory, board.clock_hz, SDRAM_DELAY),
    )


class FpgaTop(Elaboratable):
    """Clock generator, reset, pad buffers, and the board's BoardTop. Reset while the PLL is not
    locked."""

    def __init__(self, board: Board):
        self.board, self.top = board, board_top(board)

    def _clock(self, m, platform):
        """Domain `sync`; with a PLL also `shifted`, for the SDRAM."""
        oscillator = int(platform.default_clk_frequency)
        if not isinstance(platform, LatticePlatform):
            if oscillator != self.board.clock_hz:
                raise ValueError(
                    f"board {self.board.name}: no PLL for this device: its clock must be "
                    f"{oscillator} Hz"
                )
            return  # the platform's own domain does
        m.submodules.clock_in = pad = io.Buffer(
            "i", platform.request(platform.default_clk, dir="-")
        )
        m.domains.sync = sync = ClockDomain()
        # constant without a PLL: the synchronizer's initial state resets after power-up
        unready = Signal()
        m.submodules.reset = ResetSynchronizer(unready, domain="sync")
        if oscillator == self.board.clock_hz:
            if self.top.memory_pins:
                raise ValueError(
                    f"board {self.board.name}: clock_hz {oscillator} is the oscillator's: an SDRAM "
                    "needs a PLL's, whose shifted clock it gets"
                )
            m.d.comb += sync.clk.eq(pad.i)
        else:
            m.submodules.pll = pll = Ecp5Pll(oscillator, self.board.clock_hz, SDRAM_SHIFT)
            m.domains.shifted = shifted = ClockDomain(reset_less=True)
            m.d.comb += [
                pll.clk_in.eq(pad.i),
                sync.clk.eq(pll.clk_out),
                shifted.clk.eq(pll.clk_shifted),
                unready.eq(~pll.locked),
            ]

    def elaborate(self, platform):
        m = Module()
        self._clock(m, platform)
        m.submodules.top = top = self.top
        platform.add_resources(self.board.resources)
        uart = platform.request(
            "uart", 0, dir={"rx": "-", "tx": "-"} | dict.fromkeys(("rts", "dtr"), "-")
        )
        m.submodules.rx = rx = io.FFBuffer("i", uart.rx)
        m.submodules.tx = tx = io.FFBuffer("o", uart.tx)
        settled = Signal(init=1)
        m.d.sync += settled.eq(rx.i)
        m.d.comb += [top.rx.eq(settled), tx.o.eq(top.tx)]
        if top.memory_pins:
            self._sdram(m, platform)
        return m

    def _sdram(self, m, platform):
        top = self.top
        names = ("clk", "clk_en", "cs", "we", "ras", "cas", "ba", "a", "dq", "dqm")
        there = {part.name for part in platform.lookup("sdram", 0).ios}
        if missing := [name for name in names if name not in there]:
            raise ValueError(
                f"board {self.board.name}: its SDRAM has no {missing[0]}, which the controller "
                "drives"
            )
        pads = platform.request("sdram", 0, dir=dict.fromkeys(names, "-"))
        m.submodules.sdram_clk = clk = io.DDRBuffer("o", pads.clk, o_domain="shifted")
        m.d.comb += [clk.o[0].eq(1), clk.o[1].eq(0)]
        # The platform inverts the pins that are low when active; BoardTop's are what the part sees.
        for name, invert in (
            ("cke", 0),
            ("cs", 1),
            ("we", 1),
            ("ras", 1),
            ("cas", 1),
            ("ba", 0),
            ("a", 0),
            ("dqm", 0),
        ):
            pad = io.FFBuffer("o", getattr(pads, {"cke": "clk_en"}.get(name, name)))
            m.submodules[f"sdram_{name}"] = pad
            value = getattr(top, f"sdram_{name}_n" if invert else f"sdram_{name}")
            m.d.comb += pad.o.eq(~value if invert else value)
        m.submodules.sdram_dq = dq = io.FFBuffer("io", pads.dq)
        m.d.comb += [dq.o.eq(top.sdram_dq_o), dq.oe.eq(top.sdram_dq_oe), top.sdram_dq_i.eq(dq.i)]
