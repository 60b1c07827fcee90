"""Cycle model of the sparse engine: PEs behind activation queues, fed by a broadcast (EIE, ISCA
2016, section VI).

For comparing placements, queue depths and widths of the broadcast; memory, drain and pipeline
latency are left out.
"""

import numpy as np


def simulate(work: np.ndarray, depth: int, broadcast: int = 1) -> int:
    """Cycles of a layer. work: integer [columns of non-zero activation, pes], MACs of each column
    in each PE.

    A cycle broadcasts up to `broadcast` columns, in order, each as soon as every PE's queue of
    `depth` columns has a place for it; a column leaves the queue when its PE starts on it. A PE
    takes one cycle per MAC and none for a column that is empty in it. Raises ValueError for a depth
    or broadcast below 1.
    """
    if depth < 1 or broadcast < 1:
        raise ValueError(f"depth {depth}, broadcast {broadcast}: expected 1 or more")
    columns, pes = work.shape
    starts = np.zeros((depth, pes), np.int64)  # of the last `depth` columns
    sent = [-1] * broadcast  # cycles of the last `broadcast` columns
    free = np.zeros(pes, np.int64)
    for t, macs in enumerate(work.astype(np.int64)):
        start = starts[t % depth]  # still of column t - depth
        now = max(
            sent[t % broadcast] + 1,
            sent[t - 1 - (t - 1) // broadcast * broadcast],
            int(start.max()),
        )
        sent[t % broadcast] = now
        np.maximum(free, now, out=start)
        np.add(start, macs, out=free)
    return max(int(free.max()), sent[(columns - 1) % broadcast] + 1) if columns else 0
