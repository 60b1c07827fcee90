"""Step 3: memory: its data lines, its address lines, its cells, and whether they keep what they
have. Each on what those before it have shown."""

from __future__ import annotations

import random
from collections.abc import Iterator
from functools import reduce

from fpga.memory.sdram.words import word_address
from fpga.selftest.bench import Bench, Check
from fpga.selftest.registers import wrong_bits
from fpga.serial.protocol import MAX_DATA, WORD, Opcode

BITS = 8 * WORD
DQ = 16  # data lines of an SDRAM part
COLUMN = 2  # A of the lowest bit of a word's column: a word is a burst of four
SHOWN = 8  # of many bits that are wrong
CHUNK = 128  # cells between two looks at the progress
TRIES = 3  # of a march in which a frame was sent again, so that reads and writes changed places
# March C-: (direction, what is read, what is written), of a background (0) and its inverse (1).
# A. J. van de Goor, Using March Tests to Test SRAMs, IEEE Design & Test of Computers 10(1), 1993.
MARCH = ((1, None, 0), (1, 0, 1), (1, 1, 0), (-1, 0, 1), (-1, 1, 0), (1, 0, None))
LOOK = "solder and pins of the memory; the phase of its clock (docs/fpga.md); the supply"


def check(bench: Bench) -> Iterator[Check]:
    for what, expected, test in (
        ("data lines, walking ones and zeros", f"{_width(bench)} on their own", data_lines),
        ("address lines, powers of two", f"{_lines(bench)} on their own", address_lines),
        (f"March C-, {_extent(bench)}", f"{bench.effort.backgrounds} backgrounds", march),
        (f"kept for {bench.effort.retention * 1e3:g} ms", "both levels", retention),
    ):
        fault = test(bench)
        yield Check(what, expected, fault or expected, not fault, LOOK)


# ---- data lines --------------------------------------------------------------------------


def _width(bench: Bench) -> int:
    return DQ if bench.sdram else BITS


def data_lines(bench: Bench) -> str:
    """What is wrong with them, or nothing. Every line is high alone, and low alone, in all beats of
    the first word."""
    width = _width(bench)
    repeated = sum(1 << at for at in range(0, BITS, width))
    written = [repeated << bit for bit in range(width)]
    written += [~value & (1 << BITS) - 1 for value in written]
    read = []
    for value in written:
        bench.device.write(0, value.to_bytes(WORD, "little"))
        read.append(int.from_bytes(bench.device.read(0, WORD), "little"))
    wrong = wrong_bits(list(zip(written, read)), BITS)
    if not wrong:
        return ""
    if bench.sdram and set(wrong) == {b for b in range(BITS) if b % DQ in {w % DQ for w in wrong}}:
        kinds = {f"DQ{bit}": wrong[bit] for bit in sorted({bit % DQ for bit in wrong})}
        where = f", bits {', '.join(map(str, list(wrong)[:SHOWN]))} of a word"
    else:
        kinds, where = {f"bit {bit}": how for bit, how in wrong.items()}, " of a word"
    return _few([f"{name} {how}" for name, how in kinds.items()]) + where


# ---- address lines -----------------------------------------------------------------------


def _lines(bench: Bench) -> int:
    return (bench.device.identity.memory // WORD - 1).bit_length()


def address_lines(bench: Bench) -> str:
    """What is wrong with them, or nothing. A word has one bit of its address high, or two."""
    device, size = bench.device, bench.device.identity.memory

    def mark(address: int) -> bytes:
        return (address * 0x9E3779B97F4A7C15 & (1 << BITS) - 1 | 1).to_bytes(WORD, "little")

    def alike(address: int, other: int) -> bool:
        """They are one word."""
        device.write(address, mark(address))
        device.write(other, mark(other))
        return device.read(address, WORD) != mark(address)

    places = [WORD << line for line in range(_lines(bench)) if WORD << line < size]
    for address in (0, *places):
        device.write(address, mark(address))
    read = {address: device.read(address, WORD) for address in (0, *places)}
    wrong = [address for address, raw in read.items() if raw != mark(address)]
    if not wrong:
        return ""
    dead = [at for at in places if alike(at, 0)]
    joined = [(a, b) for a in dead for b in dead if a < b and not alike(a | b, 0)]
    joined += [(a, b) for a in wrong for b in places if 0 < a < b and a not in dead and alike(a, b)]
    dead = [at for at in dead if all(at not in pair for pair in joined)]
    faults = [f"{_wires(bench, a, b)} act as one" for a, b in joined]
    if dead:
        faults.append(f"{_wires(bench, *dead)} stuck")
    return _few(faults) or "a word written is another one when it is read"


def _wires(bench: Bench, *places: int) -> str:
    """Bits of a byte's address by number, and the pins that they are on an SDRAM."""
    bits = [at.bit_length() - 1 for at in places]
    text = f"address bit{'s' * (len(bits) > 1)} {', '.join(map(str, bits))}"
    if not bench.sdram:
        return text
    layout, pins = word_address(bench.sdram), []
    for bit in bits:
        for name, field in layout:
            at = bit - (WORD.bit_length() - 1) - field.offset
            if 0 <= at < field.width:
                pins.append({"column": f"A{at + COLUMN}", "row": f"A{at}", "bank": f"BA{at}"}[name])
    return f"{text} (pin{'s' * (len(set(pins)) > 1)} {', '.join(dict.fromkeys(pins))})"


# ---- cells -------------------------------------------------------------------------------


def _extent(bench: Bench) -> str:
    whole = f"all {bench.device.identity.memory >> 10:,} KiB in blocks of {MAX_DATA}"
    return whole if bench.effort.whole else f"{len(_cells(bench))} words"


def _cells(bench: Bench) -> list[int]:
    """Addresses, ascending: of all blocks; or of words, powers of two and random ones."""
    size, words = bench.device.identity.memory, bench.effort.words
    if bench.effort.whole:
        return list(range(0, size, MAX_DATA))
    chosen = {0, size - WORD, *(WORD << line for line in range(_lines(bench)))}
    rng = random.Random(1)
    while len(chosen) < min(words, size // WORD):
        chosen.add(rng.randrange(size // WORD) * WORD)
    return sorted(chosen)


def _background(number: int) -> int:
    """All 0; 0101...; 0011...; and so on, for a word's bits that disturb each other."""
    if not number:
        return 0
    width = 1 << number - 1
    return sum(((1 << width) - 1) << at for at in range(0, BITS, 2 * width))


def march(bench: Bench) -> str:
    """The first fault that a march finds, or nothing."""
    cells = _cells(bench)
    size = MAX_DATA if bench.effort.whole else WORD
    steps = len(MARCH) * bench.effort.backgrounds
    for number in range(bench.effort.backgrounds):
        value = _background(number)
        data = [
            v.to_bytes(WORD, "little") * (size // WORD) for v in (value, ~value & (1 << BITS) - 1)
        ]
        if fault := _unbroken(bench, cells, data, number * len(MARCH), steps):
            return f"{fault}, background {value:016x}"
    return ""


def _unbroken(bench: Bench, cells: list[int], data: list[bytes], first: int, steps: int) -> str:
    """What a march finds in which no frame was sent again, after TRIES of them in any."""
    fault = ""
    for _ in range(TRIES):
        before = bench.device.link.retried
        fault = _march(bench, cells, data, first, steps)
        if bench.device.link.retried == before:
            break
    return fault


def _march(bench: Bench, cells: list[int], data: list[bytes], first: int, steps: int) -> str:
    for number, (way, reads, writes) in enumerate(MARCH):
        for start in range(0, len(cells), CHUNK):
            bench.progress("march", (first + number) * len(cells) + start, steps * len(cells))
            chunk = cells[::way][start : start + CHUNK]
            requests = []
            for cell in chunk:
                if reads is not None:
                    requests.append((Opcode.READ, cell, len(data[0]), b""))
                if writes is not None:
                    requests.append((Opcode.WRITE, cell, 0, data[writes]))
            replies = bench.device.link.exchange(requests)
            if reads is not None:
                got = replies[:: len(requests) // len(chunk)]
                if fault := _difference(chunk, got, data[reads]):
                    return f"{fault}, element {number + 1} of {len(MARCH)}"
    return ""


def _difference(cells: list[int], got: list[bytes], want: bytes) -> str:
    """Where and in which bits cells are not as they must be, or nothing."""
    wrong = [
        (
            cell + at,
            int.from_bytes(raw[at : at + WORD], "little"),
            int.from_bytes(want[:WORD], "little"),
        )
        for cell, raw in zip(cells, got, strict=True)
        if raw != want
        for at in range(0, len(want), WORD)
        if raw[at : at + WORD] != want[:WORD]
    ]
    if not wrong:
        return ""
    address, read, written = wrong[0]
    bits = reduce(lambda a, b: a | b, (r ^ w for _, r, w in wrong))
    names = [str(bit) for bit in range(BITS) if bits >> bit & 1]
    more = f" and {len(wrong) - 1} more" if len(wrong) > 1 else ""
    return f"word {address:#x}{more}: {read:016x} for {written:016x}, bit {_few(names)}"


def retention(bench: Bench) -> str:
    """The first cells that forget, or nothing. Both levels, since a cell leaks to one of them."""
    cells = _cells(bench)
    size = MAX_DATA if bench.effort.whole else WORD
    for byte in (0xFF, 0x00):
        data = bytes((byte,)) * size
        bench.device.link.exchange([(Opcode.WRITE, cell, 0, data) for cell in cells])
        bench.progress("retention", byte == 0x00, 2)
        bench.pause(bench.effort.retention)
        got = bench.device.link.exchange([(Opcode.READ, cell, size, b"") for cell in cells])
        if fault := _difference(cells, got, data):
            return fault
    return ""


def _few(names: list[str]) -> str:
    return ", ".join(names[:SHOWN]) + (f" and {len(names) - SHOWN} more" if names[SHOWN:] else "")
