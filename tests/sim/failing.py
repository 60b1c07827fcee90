"""A cocotb test that fails, for test_benches.py."""

import cocotb
from cocotb.triggers import Timer


@cocotb.test()
async def breaks(dut):
    await Timer(2, "step")
    raise AssertionError
