"""Config.arrays against what a machine instantiates."""

from collections import Counter, defaultdict

import pytest

from hdl.array.pe.filter_spad import FilterSpad
from hdl.array.pe.ifmap.queue import IfmapQueue
from hdl.array.pe.ifmap_window import IfmapWindow
from hdl.array.pe.mac.lane import MacLane
from hdl.array.pe.sums.drain_buffer import DrainBuffer
from hdl.array.pe.sums.fifo_head import FifoHead
from hdl.buffer.bank import GlbBank
from hdl.buffer.read_port import ReadPort
from hdl.config import BOARD_PRESETS, PRESETS
from hdl.control.fetch.program_reader import ProgramReader
from hdl.control.flight import EarlyFlight, Flight
from hdl.control.issue import EarlyIssue, Issue
from hdl.memory.arbiter import ReadArbiter
from hdl.memory.load.load import Load
from hdl.memory.store.store import Store
from hdl.sequencers.notes import Notes
from hdl.sequencers.ofmap.table import ScaleTable
from hdl.sparse.fill.fill import SparseFiller
from hdl.sparse.pe.activations import Activations
from hdl.sparse.pe.column_queue import ColumnQueue
from hdl.sparse.pe.entry_reader import EntryReader
from hdl.sparse.pe.mac import SparseMac
from hdl.sparse.pe.pointers import PointerLookup
from hdl.sparse.pe.word_queue import WordQueue
from hdl.sparse.stream.records import RecordSource
from hdl.top import Accelerator
from tests.hdl.arrays import arrays

# The component of Config.arrays that an array is of, by the class nearest to it.
COMPONENTS = {
    "filter spads": (FilterSpad,),
    "ifmap spads": (IfmapWindow,),
    "psum spads": (MacLane, DrainBuffer),
    "ifmap FIFOs": (IfmapQueue,),
    "psum FIFOs": (FifoHead,),
    "global buffer": (GlbBank,),
    "command queues": (Issue, EarlyIssue),
    "scales": (ScaleTable,),
    "engine FIFOs": (ReadPort, Notes, ProgramReader, Flight, EarlyFlight, SparseFiller),
    "LOAD and STORE": (Load, Store, ReadArbiter),
    "sparse weights": (EntryReader,),
    "sparse pointers": (PointerLookup,),
    "sparse activations": (Activations,),
    "sparse accumulators": (SparseMac,),
    "sparse queues": (ColumnQueue, WordQueue),
    "sparse stream": (RecordSource,),
}
COMPONENT = {kind: name for name, kinds in COMPONENTS.items() for kind in kinds}
CONFIGS = {name: PRESETS[name] for name in ("demo", "eyeriss", "tiny")}
CONFIGS |= {name: BOARD_PRESETS[name] for name in ("ecp5-25", "ecp5-85", "minimal")}
CONFIGS["what no preset has"] = CONFIGS["tiny"].replace(
    sparse_queue=16,
    psum_drain=3,
    ifmap_fifo=4,
    psum_fifo=3,
    psum_bits=24,
    rlc=False,
    queue_depth=16,
)


@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
def test_arrays(config):
    found = defaultdict(Counter)
    for (chain, words, bits), count in arrays(Accelerator(config)).items():
        kind = next(kind for kind in reversed(chain) if kind in COMPONENT)
        found[COMPONENT[kind]][words, bits] += count
    wanted = defaultdict(Counter)
    for component, listed in config.arrays().items():
        for count, words, bits in listed:
            if count and words:
                wanted[component][words, bits] += count
    assert found == wanted
