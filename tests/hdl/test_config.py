"""Validation of configurations: every bad value is refused by name."""

import json

import pytest

from hdl.config import CHIP_STORAGE_BYTES, PRESETS, Config, ConfigError

TINY = PRESETS["tiny"]

BAD = [
    ("name", "a b"),
    ("rows", 0),
    ("rows", 33),
    ("columns", 0),
    ("columns", 33),
    ("rows", 2.0),
    ("rows", True),
    ("filter_spad", 15),
    ("filter_spad", 4096),
    ("ifmap_spad", 12),
    ("psum_spad", 6),
    ("psum_spad", 68),
    ("psum_bits", 23),
    ("psum_bits", 33),
    ("ifmap_fifo", 0),
    ("psum_fifo", 0),
    ("psum_lanes", 2),
    ("input_lanes", 2),
    ("input_lanes", 1),
    ("glb_pairs", 0),
    ("glb_pairs", 65),
    ("glb_depth", 100),
    ("psum_drain", 1),
    ("psum_drain", 65),
    ("queue_depth", 3),
    ("segment", 5),
    ("segment", -1),
    ("dram_bytes_per_cycle", 0),
    ("dram_bytes_per_cycle", 17),
    ("dram_latency", 0),
    ("gating", 1),
    ("counters", "yes"),
    ("store_lanes", 2),
    ("sparse_round_lanes", 2),
    ("address_bits", 15),
    ("address_bits", 33),
    ("rlc", 1),
    ("simd", 2),
    ("simd", 3),
]


@pytest.mark.parametrize("field, value", BAD)
def test_refused(field, value):
    with pytest.raises(ConfigError, match=field):
        TINY.replace(**{field: value})


def test_one_psum_lane_has_no_fifo():
    with pytest.raises(ConfigError, match="psum_fifo"):
        TINY.replace(psum_lanes=1)
    assert TINY.replace(psum_lanes=1, psum_fifo=0).psum_lanes == 1


@pytest.mark.parametrize(
    "field, value", [("filter_spad", 66), ("filter_spad", 1028), ("psum_drain", 3)]
)
def test_two_macs_a_cycle(field, value):
    """A row of filters has two words, and sums leave two by two."""
    narrow = TINY.replace(skip=False, input_lanes=1, ifmap_fifo=0, psum_lanes=1, psum_fifo=0)
    assert narrow.replace(simd=2).multipliers == 2 * TINY.pes == 2 * TINY.multipliers
    with pytest.raises(ConfigError, match=f"{field} = {value}: must be .* with simd = 2"):
        narrow.replace(simd=2, **{field: value})


def test_one_pe_is_refused():
    with pytest.raises(ConfigError, match="two PEs"):
        TINY.replace(rows=1, columns=1)


@pytest.mark.parametrize("name", PRESETS)
def test_round_trip(name, tmp_path):
    path = tmp_path / "c.json"
    path.write_text(json.dumps(PRESETS[name].to_dict()))
    assert Config.load(str(path)) == PRESETS[name] == Config.load(name)


def test_keys():
    values = TINY.to_dict()
    with pytest.raises(ConfigError, match="unknown key 'color'"):
        Config.from_dict({**values, "color": 1})
    with pytest.raises(ConfigError, match="unknown key 'color'"):
        TINY.replace(color=1)
    del values["rows"]
    with pytest.raises(ConfigError, match="missing key 'rows'"):
        Config.from_dict(values)


def test_load_errors(tmp_path):
    with pytest.raises(ConfigError, match="unknown preset 'nope'"):
        Config.load("nope")
    with pytest.raises(ConfigError, match="absent.json"):
        Config.load(str(tmp_path / "absent.json"))
    for text, message in (("{", "not JSON"), ("[1]", "one JSON object")):
        (tmp_path / "c.json").write_text(text)
        with pytest.raises(ConfigError, match=message):
            Config.load(str(tmp_path / "c.json"))


def test_eyeriss_fits_the_chip():
    assert PRESETS["eyeriss"].pes == 168
    assert PRESETS["eyeriss"].storage_bytes <= CHIP_STORAGE_BYTES


def test_override():
    config = PRESETS["eyeriss"].override(
        ["rows=6", "skip=false", "dram_bytes_per_cycle=4.8", "name=other"]
    )
    assert (config.rows, config.skip, config.dram_bytes_per_cycle, config.name) == (
        6,
        False,
        4.8,
        "other",
    )
    for change, message in (
        ("rows", "cannot set 'rows'"),
        ("rows=a", "cannot set"),
        ("skip=yes", "cannot set"),
        ("color=1", "unknown key 'color'"),
        ("segment=5", "segment = 5"),
        ("segment=-12", "segment"),
    ):
        with pytest.raises(ConfigError, match=message):
            PRESETS["eyeriss"].override([change])


def test_logical_columns():
    """PEs that five and eleven rows use: in the chain, and confined to segments of 12 as on the
    chip."""
    chain, grid = PRESETS["eyeriss"], PRESETS["eyeriss"].replace(segment=12)
    assert [c.logical_columns(5) * 5 for c in (chain, grid)] == [165, 140]
    assert [c.logical_columns(11) * 11 for c in (chain, grid)] == [165, 154]
    assert grid.logical_height == 12 and grid.logical_columns(13) == 0
