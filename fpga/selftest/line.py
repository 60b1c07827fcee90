"""Step 1: the serial line, and who is at its other end."""

from __future__ import annotations

from collections.abc import Iterator

from fpga.host.link import LinkError
from fpga.selftest.bench import Bench, Check
from fpga.serial.protocol import MAX_DATA, VERSION, Opcode, configuration_hash

LOOK = "cable, port and --baud; is the bitstream loaded, and for this clock?"
OTHER = "the bitstream: make fpga BOARD= and make flash BOARD= of this board and this source"
SLOW = 0.1  # of what the baud rate allows: below, something waits at every frame
STRIDE = 0x7D7E08  # bytes from a block to the next, so that its address has every byte in it too


def check(bench: Bench) -> Iterator[Check]:
    """HELLO, identity, then blocks of all byte values to memory and back. A frame is whole if its
    CRC is: what memory makes of the bytes is not looked at here."""
    try:
        device = bench.open()
    except LinkError as error:
        name = bench.config.name if bench.config else "a preset"
        silent = "no answer" in str(error) or "gone" in str(error)
        look = LOOK if silent else OTHER
        yield Check("identity", f"protocol {VERSION}, {name}", str(error), False, look)
        return

    told = device.identity
    yield Check("protocol", str(VERSION), str(told.version), True)
    yield Check(
        "preset",
        f"{device.config.name} {configuration_hash(device.config):016x}",
        f"{told.name} {told.configuration:016x}",
        True,
    )
    for what, want, got, unit in (
        ("clock, Hz", bench.clock_hz, told.clock_hz, "any"),
        ("memory, bytes", bench.memory, told.memory, "any"),
    ):
        expected = unit if want is None else f"{want:,}"
        yield Check(what, expected, f"{got:,}", want in (None, got), OTHER)
    yield from _soak(bench)


def _soak(bench: Bench) -> Iterator[Check]:
    link, count = bench.device.link, bench.effort.soak * 1024 // MAX_DATA
    spread = max(8, bench.device.identity.memory - MAX_DATA)
    places = [i * STRIDE % spread // 8 * 8 for i in range(count)]
    blocks = [bytes((13 * i + j) & 0xFF for j in range(MAX_DATA)) for i in range(count)]
    retried, naks, rates, broken = link.retried, link.naks, [], ""
    for what, requests in (
        ("to the board", [(Opcode.WRITE, at, 0, raw) for at, raw in zip(places, blocks)]),
        ("from the board", [(Opcode.READ, at, MAX_DATA, b"") for at in places]),
    ):
        started, before = bench.now(), link.sent + link.received
        try:
            link.exchange(requests, lambda done: bench.progress("soak", done, count))
        except LinkError as error:
            broken = str(error)
            break
        taken = max(bench.now() - started, 1e-9)
        rates.append((what, (link.sent + link.received - before) / taken))

    retried, naks = link.retried - retried, link.naks - naks
    measured = f"{retried} sent again, {naks} refused or broken" + (broken and f"; {broken}")
    look = "cable, ground, adapter; a lower --baud, which the bitstream must have too"
    yield Check(
        f"{2 * count} frames, all byte values",
        "0 sent again, 0 refused or broken",
        measured,
        not (retried or naks or broken),
        look,
    )
    most = bench.baud / 10
    for what, rate in rates:
        yield Check(
            f"kB/s {what}",
            f"{most / 1e3:.1f} at most",
            f"{rate / 1e3:.1f}",
            rate > SLOW * most,
            "the adapter's latency timer; a hub; a busy host",
        )
