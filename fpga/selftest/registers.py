"""Step 2: the registers of docs/integration.md."""

from __future__ import annotations

from collections.abc import Iterator

from fpga.host.board import BoardDevice
from fpga.selftest.bench import Bench, Check
from hdl.config import Config
from hdl.isa import ID_VALUE, VERSION_VALUE, Register, Status

LOOK = "timing of the bitstream (make fpga says whether it is met), the supply, the clock"
PATTERNS = (0x00000000, 0xFFFFFFFF, 0x55555555, 0xAAAAAAAA)
READ_ONLY = (
    Register.ID,
    Register.VERSION,
    Register.STATUS,
    Register.ERROR_INDEX,
    Register.PES,
    Register.GLB_WORDS,
)


def masks(config: Config) -> dict[Register, int]:
    """Bits that a register keeps."""
    address = (1 << config.address_bits) - 1
    return {
        Register.PROGRAM: address & ~0x3F,
        Register.COUNT: (1 << config.count_bits) - 1,
        Register.INTERRUPT: 1,
        Register.READ_BASE: address,
        Register.READ_LIMIT: address,
        Register.WRITE_BASE: address,
        Register.WRITE_LIMIT: address,
        Register.WATCHDOG: 0xFFFFFFFF,
    }


def wrong_bits(pairs: list[tuple[int, int]], width: int) -> dict[int, str]:
    """By bit, how it differs in pairs of (written, read): "stuck at 0", "stuck at 1" or "wrong"."""
    found = {}
    for bit in range(width):
        written, read = ({pair[i] >> bit & 1 for pair in pairs} for i in (0, 1))
        if any((a ^ b) >> bit & 1 for a, b in pairs):
            stuck = len(read) == 1 and len(written) == 2
            found[bit] = f"stuck at {read.pop()}" if stuck else "wrong"
    return found


def check(bench: Bench) -> Iterator[Check]:
    device = bench.device
    known = {
        Register.ID: ID_VALUE,
        Register.VERSION: VERSION_VALUE,
        Register.STATUS: int(Status.IDLE),
        Register.PES: device.config.pes,
        Register.GLB_WORDS: device.config.glb_words,
    }
    for register, want in known.items():
        got = device.read_register(register)
        yield Check(register.name, f"{want:#x}", f"{got:#x}", got == want, LOOK)

    kept = masks(device.config)
    for register, mask in kept.items():
        pairs = [(value & mask, _written(device, register, value)) for value in PATTERNS]
        wrong = wrong_bits(pairs, 32)
        measured = ", ".join(f"bit {bit} {how}" for bit, how in wrong.items())
        yield Check(
            f"{register.name} keeps", f"{mask:#x}", measured or f"{mask:#x}", not wrong, LOOK
        )

    values = {
        register: 0x01010140 * (i + 1) & mask for i, (register, mask) in enumerate(kept.items())
    }
    for register, value in values.items():
        device.write_register(register, value)
    mixed = [r.name for r, value in values.items() if device.read_register(r) != value]
    yield Check(
        "each on its own",
        "all differ",
        f"{', '.join(mixed)} overwritten" if mixed else "all differ",
        not mixed,
        LOOK,
    )

    before = {register: device.read_register(register) for register in READ_ONLY}
    changed = [
        r.name for r, value in before.items() if _written(device, r, ~value & 0xFFFFFFFF) != value
    ]
    yield Check(
        "read-only ones",
        "ignore writes",
        f"{', '.join(changed)} changed" if changed else "ignore writes",
        not changed,
        LOOK,
    )


def _written(device: BoardDevice, register: Register, value: int) -> int:
    """What the register has after a write."""
    device.write_register(register, value)
    return device.read_register(register)
