"""Where the multipliers and block RAMs of the PEs go on a large ECP5.

A device's block RAMs and multipliers stand in a few rows across it. nextpnr's placers solve for
wire length as if they could stand anywhere and then take the nearest that is free, one after the
other, which doubles the wires of a machine that uses most of them. So PEs get theirs here, in the
order of the array's chain: from left to right in one band, back in the next.
"""

from fpga.flow.tools import exactly
from hdl.config import Config
from hdl.lib.marks import FILTERS, MULTIPLIER

# Columns of a row of block RAMs, and of multipliers: groups of four, nine columns wide, three more
# around the clock's spine.
_85F = (*range(4, 59, 9), *range(69, 115, 9))
_GROUPS = {"LFE5U-85F": _85F, "LFE5UM5G-85F": _85F}
# (row of block RAMs, row of multipliers) of each band.
_BANDS = dict.fromkeys(_GROUPS, ((22, 10), (46, 34), (70, 58)))
_RAMS = ((0, "EBR0"), (2, "EBR1"), (4, "EBR2"), (6, "EBR3"))
_MULTIPLIERS = ((0, "MULT18_0"), (1, "MULT18_1"), (4, "MULT18_4"), (5, "MULT18_5"))
LEAST = 48  # PEs; fewer leave a placer enough choice
# bands that PEs are spread over; what has no room there fills them, then the next, so that the rest
# of the machine has a place
SPREAD = 2


def places(config: Config, device: str) -> dict[tuple[str, int], str]:
    """{(attribute of hdl/lib/marks.py, its value): nextpnr's name of the cell's place}; empty where
    placers do as well by themselves.

    Raises ValueError for more multipliers than the bands have.
    """
    if config.pes < LEAST or device not in _GROUPS:
        return {}
    rams, multipliers = (
        [(group + x, name) for group in _GROUPS[device] for x, name in kinds]
        for kinds in (_RAMS, _MULTIPLIERS)
    )
    bands, across = _BANDS[device], len(multipliers)
    each = min(-(-config.pes // SPREAD), across // config.simd)  # PEs of a band
    if each * len(bands) < config.pes:
        raise ValueError(
            f"{config.name}: {config.multipliers} multipliers: the bands of an {device} have "
            f"{len(bands) * across}"
        )
    found = {}

    def put(cell, sites, at, of, band, y):
        """At the `at`th place of `of` along the band."""
        at = at * across // of
        x, name = sites[across - 1 - at if band % 2 else at]
        found[cell] = f"X{x}/Y{y}/{name}"

    for n in range(config.pes):
        band, at = divmod(n, each)
        put((FILTERS, n), rams, at, each, band, bands[band][0])
        for lane in range(config.simd):
            put(
                (MULTIPLIER, n * config.simd + lane),
                multipliers,
                at * config.simd + lane,
                each * config.simd,
                band,
                bands[band][1],
            )
    return found


def commands(config: Config, device: str) -> str:
    """For Yosys, after its synthesis: the places as attributes of the cells, each of which must
    be there once."""
    return "\n".join(
        f'{exactly(1, f"a:{mark}={n}")}\nsetattr -set BEL "{place}" a:{mark}={n}'
        for (mark, n), place in places(config, device).items()
    )
