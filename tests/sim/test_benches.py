"""Every bench sim/tb_*.py passes."""

import pytest

from sim.benches.tb_fifo import StreamFifo
from sim.runner import BenchError, benches, run, run_bench


@pytest.mark.parametrize("name", benches())
def test_bench(name):
    assert run_bench(name) > 0


def test_failure_is_reported():
    with pytest.raises(BenchError, match="breaks"):
        run(StreamFifo(), "tests.sim.failing")
    with pytest.raises(ValueError, match="unknown bench 'nope'"):
        run_bench("nope")
