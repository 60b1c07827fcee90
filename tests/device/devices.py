"""Programs on devices, for tests."""

import numpy as np

from compiler.device import run_program
from compiler.program import compile_network
from compiler.quantise import golden_run
from compiler.run import start_segment


def check_network(device, network, images, **options):
    """Compile for the device, run layer by layer, compare every tensor in memory with golden.
    Returns (program, counters by segment)."""
    program = compile_network(network, device.config, len(images), **options)
    program.load(device)
    program.write_input(device, images)
    golden = golden_run(network, images).tensors
    counters = {}
    for segment in program.segments:
        counters[segment.name] = start_segment(program, device, segment).counters
        for view, tensor in segment.written:
            got = program.read_tensor(device, view)
            assert got.shape == golden[tensor].shape
            np.testing.assert_array_equal(got, golden[tensor], err_msg=f"{segment.name}: {view}")
    return program, counters


def check_chained(device, network, images, **options):
    """The same with one start for the whole network; only the tensors left are compared."""
    program = compile_network(network, device.config, len(images), chained=True, **options)
    program.load(device)
    program.write_input(device, images)
    result = run_program(device, program.program, program.command_count, watchdog=100_000,
                         read_window=(program.base, program.end),
                         write_window=(program.base, program.constant))
    assert result.ok, result
    golden = golden_run(network, images).tensors
    for segment in program.segments:
        for view, tensor in segment.written:
            np.testing.assert_array_equal(program.read_tensor(device, view), golden[tensor],
                                          err_msg=f"{segment.name}: {view}")
    return result.counters
