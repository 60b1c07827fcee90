"""Parts of streams. Each says what it holds, its latency and throughput, and which of its outputs
depend on which inputs in the same cycle.

    part          holds    latency  cycles a word  input.ready    output.valid   for
    RegisterSlice 2        1        1              register       register       any place
    ForwardSlice  1        1        1              of the output  register       a short `ready`
    SkidBuffer    1        0        1              register       of the input   a long `ready`
    StreamFifo    depth    1        1              registers      registers      RAM of LUTs
    BufferedFifo  depth    2        1              registers      register       a registered head
    BlockFifo     depth+1  2        1              register       register       block RAM
    ChainFifo     depth    depth    2              register       register       few wide words
    ShiftFifo     depth    1        1              register       register       few narrow words
    CreditFifo    depth    2        1              always         register       who writes counts
    Fork          0        0        1              of the outputs of the input   several consumers

`registers`: a comparison of some. Proofs: docs/formal.md.
"""
