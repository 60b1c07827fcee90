"""Parts of streams on the way from a source to a sink."""

from amaranth.hdl import Module
from amaranth.lib import stream, wiring


def through(
    m: Module, name: str, part: wiring.Component, source: stream.Interface
) -> stream.Interface:
    """Adds `part`, a component with streams `input` and `output`, to `m` as `name`, after
    `source`; the stream that goes on from it."""
    m.submodules[name] = part
    wiring.connect(m, source, part.input)
    return part.output


def into(m: Module, name: str, part: wiring.Component, sink: stream.Interface) -> stream.Interface:
    """The same before `sink`, a stream that this module drives; the stream to drive instead."""
    m.submodules[name] = part
    wiring.connect(m, part.output, sink)
    return part.input
