"""What the build needs to know of a board besides the pin-outs of amaranth-boards."""

from collections.abc import Callable
from dataclasses import dataclass

from amaranth.build import Resource

from fpga.selections import ALL, BUT_MATCHES
from hdl.config import BOARD_PRESETS, Config

# (LUT4, multipliers of 18 x 18 or 16 x 16 bits, block RAMs), of nextpnr's utilisation.
CAPACITY = {
    "LFE5U-12F": (24_288, 28, 56),
    "LFE5U-25F": (24_288, 28, 56),
    "LFE5U-45F": (43_848, 72, 108),
    "LFE5U-85F": (83_640, 156, 208),
    "LFE5UM5G-45F": (43_848, 72, 108),
    "LFE5UM5G-85F": (83_640, 156, 208),
    "iCE40UP5K": (5_280, 8, 30),
    "GW2A-18C": (20_736, 48, 46),
}

# By preset, the flip-flops of which enables and resets of few become logic (FEW in
# fpga/flow/tools.py; docs/fpga.md, control signals), "" for none; of all others ALL.
SOFT_CONTROLS = {"ecp5-85": "", "ecp5-85-128": BUT_MATCHES}


@dataclass(frozen=True)
class Board:
    """name: as in BOARD=. platform: its class in amaranth-boards. preset: of BOARD_PRESETS in
    hdl/config.py, sized to the device.

    clock_hz: of the design, made by a PLL; equal to the oscillator's, there is none. memory: of
    fpga/memory/port.py: bytes of block RAM, SPRAM, or the name of an SDRAM part at the resource
    `sdram`. baud: of the serial line `uart`. link: how a host reaches that line, for people.
    resources: those that the platform lacks. loader: command that loads {bitstream}, `persist`:
    into flash; package: what to install for it.
    """

    name: str
    platform: Callable
    preset: str
    clock_hz: int
    memory: int | str
    link: str
    loader: str
    persist: str
    package: str
    baud: int = 3_000_000
    resources: tuple[Resource, ...] = ()

    @property
    def soft_controls(self) -> str:
        return SOFT_CONTROLS.get(self.preset, ALL)

    @property
    def config(self) -> Config:
        return BOARD_PRESETS[self.preset]

    @property
    def device(self) -> str:
        """Gowin's platforms have a part and a family instead."""
        return getattr(self.platform, "device", None) or self.platform.family
