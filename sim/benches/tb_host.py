"""The cocotb driver: serves the host on a pair of pipes, as sim/main.cpp does.

Python runs once per operation and never per cycle: cocotb's own clock, which is C, toggles
`clk`, and a change of `response` ends the operation.
"""

import os

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import ValueChange


@cocotb.test()
async def host(dut):
    """Until end of file: "OP ADDRESS VALUE" -> "RESULT ANSWER CYCLE"."""
    source = os.fdopen(int(os.environ["EYRIE_IN"]), "r")
    sink = os.fdopen(int(os.environ["EYRIE_OUT"]), "w")
    # The first edge must see the first operation, as it does in the C++ driver.
    clock, request = None, 0
    for line in source:
        op, address, value = map(int, line.split())
        request += 1
        dut.op.value = op
        dut.address.value = address
        dut.value.value = value
        dut.request.value = request & 0xFFFFFFFF
        if clock is None:
            clock = Clock(dut.clk, 2, unit="step", impl="gpi")
            clock.start(start_high=False)
        await ValueChange(dut.response)
        print(
            int(dut.result.value),
            int(dut.answer.value),
            int(dut.cycle.value),
            file=sink,
            flush=True,
        )
