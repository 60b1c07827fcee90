"""The memories of a component, found in what it instantiates."""

from collections import Counter

from amaranth.hdl import Module, Shape
from amaranth.lib import data, wiring
from amaranth.lib.fifo import SyncFIFOBuffered
from amaranth.lib.memory import Memory

from hdl.config import Config
from hdl.lib.stream.chain_fifo import ChainFifo
from hdl.lib.stream.shift_fifo import ShiftFifo

Chain = tuple[type, ...]  # classes from a component down to what holds an array
Arrays = Counter[tuple[Chain, int, int]]  # how many, by words and bits of a word


def arrays(part, known: dict | None = None) -> Arrays:
    """All memories, and the FIFOs that have words in registers.

    Of components of one class with the same parameters one is looked into, and none becomes a
    netlist: what `elaborate` leaves in its Module is followed.
    """
    known = {} if known is None else known
    part = getattr(part, "_elaboratable_", part)  # without its reset (hdl/lib/near_reset.py)
    if isinstance(part, Memory):
        return array(part, part.depth, part.shape)
    if isinstance(part, SyncFIFOBuffered):  # its first word is in a register
        return array(part, part.depth, part.width)
    if isinstance(part, (ChainFifo, ShiftFifo)):
        return array(part, part.depth, part.shape)

    key = parameters(part)
    if key is None or key not in known:
        found, module = Counter(), part.elaborate(None)
        assert isinstance(module, Module), f"{type(part).__name__}: elaborates to no Module"
        named, others = module._named_submodules.values(), module._anon_submodules
        for submodule, _ in (*named, *others):
            for (chain, words, bits), count in arrays(submodule, known).items():
                found[(type(part), *chain), words, bits] += count
        if key is None:
            return found
        known[key] = found
    return known[key]


def array(part, words: int, shape) -> Arrays:
    return Counter({((type(part),), words, Shape.cast(shape).width): 1})


def parameters(part) -> tuple | None:
    """Equal for components that are built alike; None if that cannot be told."""
    if not isinstance(part, wiring.Component):
        return None
    members = part.signature.members
    plain = {
        name: value
        for name, value in vars(part).items()
        if name not in members and not name.startswith("_")  # marks, as in hdl/emit/verilog.py
    }
    if not all(isinstance(v, (int, str, tuple, Config, data.Layout)) for v in plain.values()):
        return None
    return type(part), repr(sorted(plain.items())), repr(members)
