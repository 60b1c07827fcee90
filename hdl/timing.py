"""Depths and latencies that the RTL and the compiler's model of it share.

Words are of 64 bits. Latencies that only the model knows are in compiler/model/timeline.py: they
are sums over several components, checked against the RTL.
"""

HAZARD = 3  # cycles between two MACs of a PE on one psum
IN_FLIGHT = 8  # commands that an engine may hold

BURST = 64  # most words of a burst
PAGE = 512  # words of a page of 4 KiB, which no burst crosses

OUTSTANDING_READS = 64  # bursts under way of those who read beside the fetcher, each half of them
LOADS = 4  # LOADs under way
READ_BURSTS = 32  # bursts of LOAD under way: covers the latency of memory with short strips
LENGTH_WORDS = 16  # words of a table of lengths that are read ahead
LENGTH_BURST = 4  # ... that are read at once, aligned, so that a burst stays within its page

STORES = 8  # STOREs and SHAPEs under way
TAPS = {1: 16, 4: 32}  # taps that wait for their entries, by lanes of STORE
STRIPS_AHEAD = 4  # coded strips of STORE whose slots are known ahead
POOLED = 32  # pooled entries that wait, those on their way to there too
STORE_WORDS = 16  # packed words that wait for the bus
WRITE_BURSTS = 16  # bursts that wait for their answer, one of them perhaps not yet on the bus
# most words of a coded strip's burst, aligned, so that it stays within its page
CODED_BURST = 8
DIVISORS = 16  # of an average whose reciprocals are built in; larger windows bring their own
