"""What every engine between the command queues and the array has in common."""

from amaranth.hdl import ShapeLike
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out


def engine_ports(body: ShapeLike) -> dict[str, wiring.Member]:
    """What every engine has: see docs/architecture.md."""
    return {"command": In(stream.Signature(body)), "done": Out(1)}
