"""An entry of a word of four, in the wide multiplexers of the device or left to synthesis."""

from amaranth.hdl import Const, Instance, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hdl.config import ENTRY_BITS, WORD_BITS
from hdl.lib.technology import on_ecp5

CHOOSE = 0xCACA  # a LUT of A, B, C: B if C else A


class LaneMux(wiring.Component):
    """entry = lane `lane` of `word`; combinational.

    On an ECP5 two LUTs and their PFUMX for a bit. Yosys uses that cell throughout the design or,
    where it is to be routed densely, not at all (-nowidelut), and then takes three LUTs.
    """

    word: In(WORD_BITS)
    lane: In(2)
    entry: Out(ENTRY_BITS)

    def elaborate(self, platform):
        m = Module()
        if not on_ecp5(platform):
            m.d.comb += self.entry.eq(self.word.word_select(self.lane, ENTRY_BITS))
            return m
        for bit in range(ENTRY_BITS):
            pair = Signal(2, name=f"pair_{bit}")
            for half in range(2):
                m.submodules[f"lut_{bit}_{half}"] = Instance(
                    "LUT4",
                    p_INIT=Const(CHOOSE, 16),
                    i_A=self.word[2 * half * ENTRY_BITS + bit],
                    i_B=self.word[(2 * half + 1) * ENTRY_BITS + bit],
                    i_C=self.lane[0],
                    i_D=Const(0),
                    o_Z=pair[half],
                )
            m.submodules[f"mux_{bit}"] = Instance(
                "PFUMX", i_BLUT=pair[0], i_ALUT=pair[1], i_C0=self.lane[1], o_Z=self.entry[bit]
            )
        return m
