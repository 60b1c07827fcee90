"""What config.memory_bits says of the FIFOs of LOAD, STORE and the read arbiter."""

import re

import pytest
from amaranth.back import rtlil

from hdl.config import BOARD_PRESETS, PRESETS
from hdl.memory.arbiter import ReadArbiter
from hdl.memory.load.load import Load
from hdl.memory.store.store import Store

CONFIGS = PRESETS | {name: BOARD_PRESETS[name] for name in ("minimal", "ecp5-25", "ecp5-85")}
BUFFERED = 3 + 30  # bits of LOAD's FIFOs whose first word is in a register, not in their memory


@pytest.mark.sampled(2)
@pytest.mark.parametrize("name", CONFIGS)
def test_memory_bits(name):
    config = CONFIGS[name]
    parts = (
        ReadArbiter(config.sparse_pes > 0),
        Load(address=config.address_bits, rlc=config.rlc),
        Store(
            config.glb_entry_bits,
            address=config.address_bits,
            lanes=config.store_lanes,
            rlc=config.rlc,
        ),
    )
    found = [
        int(width) * int(size)
        for part in parts
        for width, size in re.findall(r"memory width (\d+) size (\d+)", rtlil.convert(part))
    ]
    registers = BUFFERED + (config.sparse_pes > 0)
    assert sum(found) + registers == config.memory_bits
