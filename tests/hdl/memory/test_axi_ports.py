"""The accelerator's AXI4 master: what is inside and what is outside."""

import random

from hdl.memory.arbiter import FETCH
from hdl.memory.axi_ports import AxiPorts
from tests.hdl.streams import run_combinational


def test_channels():
    """Every channel goes through as it is; bursts of rising addresses, eight bytes a beat; what
    moved is told."""
    dut, rng = AxiPorts(), random.Random(1)
    inside = {
        "ar": (dut.address, dict(araddr="burst.address", arlen="burst.length", arid="id")),
        "aw": (dut.write.address, dict(awaddr="address", awlen="length")),
        "w": (dut.write.data, dict(wdata="data", wstrb="strobe", wlast="last")),
    }
    outside = {
        "r": (dut.data, dict(rdata="beat.data", rresp="beat.resp", rlast="beat.last", rid="id")),
        "b": (dut.write.response, dict(bresp="")),
    }

    def port(name):
        return getattr(dut, f"m_axi_{name}")

    def field(payload, path):
        for name in path.split(".") if path else ():
            payload = payload[name]
        return payload

    async def main(ctx):
        for _ in range(100):
            moves, values = {}, {}
            for channels, into in ((inside, 1), (outside, 0)):
                for name, (stream, fields) in channels.items():
                    valid, ready = rng.randrange(2), rng.randrange(2)
                    moves[name] = valid and ready
                    ctx.set(stream.valid if into else port(f"{name}valid"), valid)
                    ctx.set(port(f"{name}ready") if into else stream.ready, ready)
                    for flat, path in fields.items():
                        value = rng.getrandbits(len(port(flat)))
                        ctx.set(field(stream.payload, path) if into else port(flat), value)
                        values[flat] = value
                        values[f"{name}valid"], values[f"{name}ready"] = valid, ready
            for name, (stream, fields) in (inside | outside).items():
                for end in ("valid", "ready"):
                    both = ctx.get(port(f"{name}{end}")), ctx.get(getattr(stream, end))
                    assert both == (values[f"{name}{end}"],) * 2
                for flat, path in fields.items():
                    both = ctx.get(port(flat)), ctx.get(field(stream.payload, path))
                    assert both == (values[flat],) * 2
            for name in ("ar", "aw"):
                assert (ctx.get(port(f"{name}size")), ctx.get(port(f"{name}burst"))) == (3, 1)
            order = ("ar", "r", "aw", "w", "b")
            assert ctx.get(dut.moves) == sum(moves[name] << n for n, name in enumerate(order))
            read = 8 * moves["r"]
            assert ctx.get(dut.read_bytes) == read
            assert ctx.get(dut.command_bytes) == (read if values["rid"] == FETCH else 0)
            assert ctx.get(dut.write_bytes) == moves["w"] * values["wstrb"].bit_count()

    run_combinational(dut, main)
