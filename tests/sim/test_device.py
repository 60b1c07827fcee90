"""The simulated device, with a stand-in accelerator that copies its program."""

import struct

import pytest

from hdl.config import PRESETS
from hdl.isa import COUNTERS, ID_VALUE, Error, Register, Status
from sim.device import SimDevice, SimError
from tests.sim.standin import FAULTS, StandIn

CONFIG = PRESETS["tiny"]
DATA = bytes(i * 7 & 255 for i in range(64 * 40))


def device(driver="cpp", **kw):
    return SimDevice(CONFIG, driver, 1 << 20, component=StandIn(), reply_timeout=300, **kw)


def copy(d, data=DATA, source=0x1000, target=0x8000, limit=1_000_000):
    """Runs one copy; (STATUS, counters)."""
    d.write(source, data)
    d.write_register(Register.PROGRAM, source)
    d.write_register(Register.COUNT, len(data) // 64)
    d.write_register(Register.WRITE_BASE, target)
    d.write_register(Register.INTERRUPT, 3)
    d.write_register(Register.CONTROL, 1)
    d.wait(limit)
    counters = {}
    for name in ("cycles", "dram_read_bytes", "dram_write_bytes"):
        at = Register.COUNTERS + 8 * COUNTERS.index(name)
        counters[name] = d.read_register(at) | d.read_register(at + 4) << 32
    return d.read_register(Register.STATUS), counters


@pytest.mark.parametrize("driver", ["cpp", "cocotb"])
def test_many_runs(driver):
    with device(driver) as d:
        assert d.read_register(Register.ID) == ID_VALUE
        assert d.read_register(Register.PES) == CONFIG.pes
        for n in (1, 40, 3):
            status, counters = copy(d, DATA[: 64 * n], target=0x8000 + n * 4096)
            assert status == Status.DONE
            assert d.read(0x8000 + n * 4096, 64 * n) == DATA[: 64 * n]
            assert counters["dram_read_bytes"] == counters["dram_write_bytes"] == 64 * n
        assert d.traffic() == (64 * 44, 64 * 44)


@pytest.mark.parametrize(
    "settings", [{}, {"stalls": 0.3, "seed": 5}, {"bytes_per_cycle": 2.4, "latency": 100}]
)
def test_drivers_are_equal(settings):
    seen = []
    for driver in ("cpp", "cocotb"):
        with device(driver, **settings) as d:
            first = copy(d), d.cycles
            d.reset()
            seen.append((first, copy(d), d.traffic(), d.cycles))
    assert seen[0] == seen[1]


def test_latency():
    cycles = {}
    for latency in (10, 40):
        with device(latency=latency, bytes_per_cycle=8) as d:
            cycles[latency] = copy(d, DATA[: 64 * 10])[1]["cycles"]
    # Each of the ten bursts waits once for its first word and once for its write response.
    assert cycles[40] - cycles[10] == 10 * 2 * 30


def test_bandwidth():
    with device(latency=1, bytes_per_cycle=0.5) as d:
        cycles = copy(d, DATA[: 64 * 20])[1]["cycles"]
    # 2 * 64 * 20 bytes share half a byte a cycle.
    assert 5000 <= cycles <= 5200


def test_stalls_depend_on_the_seed():
    seen = set()
    for seed in (1, 1, 2):
        with device(stalls={"r": 0.5, "w": 0.5}, seed=seed) as d:
            status, counters = copy(d)
            assert status == Status.DONE and d.read(0x8000, len(DATA)) == DATA
            seen.add(counters["cycles"])
    assert len(seen) == 2


@pytest.mark.parametrize("kind", ["slverr", "decerr"])
def test_error_responses(kind):
    with device() as d:
        d.fault(0x1000, 0x1040, kind)
        assert copy(d)[0] == Status.ERROR | Error.READ_RESPONSE << 8
        d.fault(0x8000, 0x8040, kind)
        d.write(0x8000, bytes(64))
        assert copy(d)[0] == Status.ERROR | Error.WRITE_RESPONSE << 8
        assert d.read(0x8000, 64) == bytes(64)
        d.fault()
        assert copy(d)[0] == Status.DONE


def test_outside_the_memory():
    with device() as d:
        assert copy(d, target=1 << 24)[0] == Status.ERROR | Error.WRITE_RESPONSE << 8


@pytest.mark.parametrize("driver", ["cpp", "cocotb"])
def test_time_out_and_reset(driver):
    with device(driver) as d:
        d.fault(0x1000, 0x1040, "silent")
        with pytest.raises(TimeoutError, match="cycle"):
            copy(d, limit=3000)
        d.fault()
        d.reset()
        assert copy(d)[0] == Status.DONE


def test_status_ends_a_wait():
    """With its interrupt off, the end is seen by reading STATUS."""
    with device() as d:
        d.write_register(Register.INTERRUPT, 0)
        d.wait(10)
        d.write_register(Register.COUNT, 4)
        d.write_register(Register.WRITE_BASE, 0x8000)
        d.write_register(Register.CONTROL, 1)
        d.wait(10_000)
        assert d.read_register(Register.STATUS) == Status.DONE


@pytest.mark.parametrize("driver", ["cpp", "cocotb"])
@pytest.mark.parametrize(
    "fault, message",
    [
        ("4k", "AR: burst of 2048 bytes at 0x00001900 crosses a 4 KiB boundary"),
        ("drop", "AR: valid fell before ready"),
        ("last", "W: last is 1 at word 6 of a burst of 8"),
    ],
)
def test_broken_rules_are_named(driver, fault, message):
    stalls = {"ar": 0.9} if fault == "drop" else 0
    with device(driver, stalls=stalls) as d:
        d.write_register(Register.READ_BASE, FAULTS.index(fault))
        with pytest.raises(SimError, match=message):
            copy(d, source=0x1900)
        with pytest.raises(SimError, match="closed"):
            d.read_register(Register.ID)


def test_bad_arguments():
    with pytest.raises(ValueError, match="driver 'vcs'"):
        SimDevice(CONFIG, "vcs")
    with pytest.raises(ValueError, match="memory size"):
        SimDevice(CONFIG, memory_size=100)
    with device() as d:
        with pytest.raises(ValueError, match="memory access"):
            d.write((1 << 20) - 4, bytes(8))
        with pytest.raises(ValueError, match="not of 32 bits"):
            d.write_register(Register.COUNT, 1 << 32)
        with pytest.raises(OSError, match="bus error"):
            d.read_register(0xFF0)
        with pytest.raises(OSError, match="bus error"):
            d.write_register(0xFF0, 1)
        with pytest.raises(ValueError, match="channel 'x'"):
            d.stall({"x": 0.5})


def unpack_lz4(raw):
    """LZ4 block format."""
    out, i = bytearray(), 0

    def length(n):
        nonlocal i
        if n == 15:
            while True:
                i += 1
                n += raw[i - 1]
                if raw[i - 1] != 255:
                    break
        return n

    while True:
        token = raw[i]
        i += 1
        n = length(token >> 4)
        out += raw[i : i + n]
        i += n
        if i == len(raw):
            return bytes(out)
        offset = raw[i] | raw[i + 1] << 8
        i += 2
        for _ in range(4 + length(token & 15)):
            out.append(out[-offset])


@pytest.mark.parametrize("driver", ["cpp", "cocotb"])
def test_waves(driver, tmp_path, capsys):
    path = tmp_path / "w.fst"
    with device(driver, waves=path) as d:
        assert copy(d)[0] == Status.DONE
    assert f"gtkwave {path}" in capsys.readouterr().err
    raw, blocks, at = path.read_bytes(), {}, 0
    while at < len(raw):
        kind, size = raw[at], struct.unpack(">Q", raw[at + 1 : at + 9])[0]
        blocks[kind] = raw[at + 9 : at + 1 + size]
        at += 1 + size
    assert at == len(raw)
    names = blocks[6]
    hierarchy = unpack_lz4(names[8:])
    assert len(hierarchy) == struct.unpack(">Q", names[:8])[0]
    assert b"dut\0" in hierarchy and b"m_axi_araddr [31:0]\0" in hierarchy
