"""What an SDR SDRAM demands, in nanoseconds, and the same in clock cycles."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class SdramPart:
    """A 16-bit part of four banks and its data sheet. Times in ns, as the data sheets name them:

    t_rcd, t_rp    ACTIVE to READ or WRITE; PRECHARGE to ACTIVE or REFRESH
    t_ras, t_rc    ACTIVE to PRECHARGE, and to the next ACTIVE of the same bank
    t_rrd          ACTIVE to ACTIVE of another bank
    t_rfc          REFRESH to any command but NOP
    t_wr           last word written to PRECHARGE
    t_mrd          cycles from LOAD MODE REGISTER to any command
    t_refresh_ms   in which all rows are refreshed once, by as many REFRESH commands as a bank has
                   rows
    t_init_us      from a stable clock to the first command
    max_mhz        highest clock, by CAS latency (2 and 3)
    """

    name: str
    row_bits: int
    column_bits: int
    t_rcd: float
    t_rp: float
    t_ras: float
    t_rc: float
    t_rrd: float
    t_rfc: float
    t_wr: float
    max_mhz: tuple[int, int]
    t_mrd: int = 2
    t_refresh_ms: float = 64
    t_init_us: float = 200

    @property
    def size(self) -> int:
        """Bytes."""
        return 2 << 2 + self.row_bits + self.column_bits

    def cycles(self, clock_hz: int) -> SdramCycles:
        """Raises ValueError if the part is too slow for the clock."""
        mhz = clock_hz / 1e6
        fit = [latency for latency, most in zip((2, 3), self.max_mhz, strict=True) if mhz <= most]
        if not fit:
            raise ValueError(f"SDRAM {self.name} at {mhz:g} MHz: {max(self.max_mhz)} MHz at most")

        def whole(ns):
            return max(1, math.ceil(ns * mhz / 1000 - 1e-9))

        return SdramCycles(
            rcd=whole(self.t_rcd),
            rp=whole(self.t_rp),
            ras=whole(self.t_ras),
            rc=whole(self.t_rc),
            rrd=whole(self.t_rrd),
            rfc=whole(self.t_rfc),
            wr=whole(self.t_wr),
            mrd=self.t_mrd,
            cas=fit[0],
            refresh=int(self.t_refresh_ms * mhz * 1000 / (1 << self.row_bits)),
            init=whole(1000 * self.t_init_us),
        )


@dataclass(frozen=True)
class SdramCycles:
    """Clock cycles. cas: the CAS latency; refresh: between two REFRESH commands, on the average."""

    rcd: int
    rp: int
    ras: int
    rc: int
    rrd: int
    rfc: int
    wr: int
    mrd: int
    cas: int
    refresh: int
    init: int


# 32 MB of 16 bits, as boards of the ULX3S kind carry from several makers; the slowest of the class
# each.
PARTS = {
    part.name: part
    for part in (
        SdramPart(
            "32MB-6",
            13,
            9,
            t_rcd=18,
            t_rp=18,
            t_ras=42,
            t_rc=60,
            t_rrd=12,
            t_rfc=60,
            t_wr=12,
            max_mhz=(100, 166),
        ),
        SdramPart(
            "32MB-7",
            13,
            9,
            t_rcd=21,
            t_rp=21,
            t_ras=49,
            t_rc=70,
            t_rrd=14,
            t_rfc=70,
            t_wr=15,
            max_mhz=(100, 143),
        ),
    )
}
