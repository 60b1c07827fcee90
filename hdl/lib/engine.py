"""What every engine between the command queues and the array has in common."""

from amaranth.hdl import Module, ShapeLike, Signal
from amaranth.lib import fifo, stream, wiring
from amaranth.lib.wiring import In, Out

from hdl.config import Config

UNDER_WAY = 8  # reads between the sparse engine and its memories


def room_for_note(
    m: Module, config: Config, notes: fifo.SyncFIFO | fifo.SyncFIFOBuffered
) -> Signal:
    """Whether a note may go into the FIFO `notes`: a register."""
    room = Signal()
    # One may come as this is found out. What has been told stays true until then.
    m.d.sync += room.eq((room & ~notes.w_en) | (notes.level < notes.depth - 1))
    return room


def engine_ports(body: ShapeLike) -> dict[str, wiring.Member]:
    """What every engine has: see docs/architecture.md."""
    return {"command": In(stream.Signature(body)), "done": Out(1)}
