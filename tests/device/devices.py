"""Programs on devices, for tests."""

import numpy as np

from compiler.lowering.compile import compile_network
from compiler.lowering.structures.options import Options
from compiler.model import cost, timeline
from compiler.quantise.fixed_point import golden_run
from compiler.runtime.device import run_program
from compiler.runtime.run import start_segment


def check_network(device, network, images, **options):
    """Compile for the device, run layer by layer, compare every tensor in memory with golden.
    Returns (program, counters by segment)."""
    program = compile_network(network, device.config, Options(images=len(images), **options))
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
    program = compile_network(
        network, device.config, Options(images=len(images), chained=True, **options)
    )
    program.load(device)
    program.write_input(device, images)
    result = run_program(
        device,
        program.program,
        program.command_count,
        watchdog=100_000,
        read_window=(program.base, program.end),
        write_window=(program.base, program.constant),
    )
    assert result.ok, result
    golden = golden_run(network, images).tensors
    for segment in program.segments:
        for view, tensor in segment.written:
            np.testing.assert_array_equal(
                program.read_tensor(device, view), golden[tensor], err_msg=f"{segment.name}: {view}"
            )
    return result.counters


def memory_of(device, program):
    return np.frombuffer(device.read(program.base, program.constant - program.base), np.uint8)


def check_counters(device, program, counters, name=""):
    """{segment: (model's cycles, RTL's)}, having compared all counts."""
    memory, cycles = memory_of(device, program), {}
    for segment in program.segments:
        work = cost.work(program, segment, memory)
        found, got = cost.count(work), counters[segment.name]
        # Groups behind the last channel, with zero filters, may meet what an earlier program left
        # in the buffer.
        loose = ("macs", "macs_gated", "pe_busy", "pe_wait_hazard") if work.strays else ()
        wrong = {
            n: (found.counters[n], got[n])
            for n in cost.EXACT
            if found.counters[n] != got[n] and n not in loose
        }
        assert not wrong, (name, segment.name, str(segment.mapping), wrong)
        cycles[segment.name] = timeline.cycles(work), got["cycles"]
    return cycles
