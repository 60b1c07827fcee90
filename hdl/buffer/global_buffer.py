"""Global buffer: pairs of even/odd 64-bit banks behind a crossbar.

The Eyeriss chip's 108 KB buffer has 27 single-port banks with fixed roles per layer (JSSC
2017, V-A); here every client reaches every bank, and the compiler keeps streams apart.
"""

from amaranth.hdl import Cat, Const, Module, Mux, Signal, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from hdl.buffer.words import READ_SIGNATURE, WRITE_SIGNATURE
from hdl.config import ENTRY_BITS, WORD_BITS, Config
from hdl.isa import WORD_ADDR
from hdl.lib.block_ram import BlockRam
from hdl.lib.level_counter import LevelCounter
from hdl.lib.stream.forward_slice import ForwardSlice
from hdl.lib.stream.register_slice import RegisterSlice
from hdl.lib.stream.stream_fifo import StreamFifo
from hdl.lib.stream.through import through

# By falling priority; the last two readers and the last writer only with a sparse engine.
READERS = ("psum", "ifmap", "store", "filter", "fill", "table")
WRITERS = ("ofmap", "load", "dump")
RESPONSE_DEPTH = 8  # reads under way or waiting per client; covers the latency of 5


def readers(config: Config) -> tuple[str, ...]:
    return READERS if config.sparse_pes else READERS[:-2]


def writers(config: Config) -> tuple[str, ...]:
    return WRITERS if config.sparse_pes else WRITERS[:-1]


class GlbBank(wiring.Component):
    """`depth` words of 64 bits, one read and one write a cycle, written by 16-bit lanes. Read data
    comes one cycle after `read`. What is read of a word while it is written is not defined (here
    the old word, in a block RAM perhaps neither): semaphores and the ring's pointers see to it that
    nobody needs it. registered: two cycles after `read`, through the output registers of block
    RAMs."""

    def __init__(self, depth: int, registered: bool = False):
        self.depth, self.registered = depth, registered
        bits = (depth - 1).bit_length()
        super().__init__(
            {
                "read": In(1),
                "read_row": In(bits),
                "read_data": Out(WORD_BITS),
                "mask": In(4),
                "write_row": In(bits),
                "write_data": In(WORD_BITS),
            }
        )

    def elaborate(self, platform):
        m = Module()
        if self.registered:
            for lane in range(WORD_BITS // ENTRY_BITS):
                m.submodules[f"lane_{lane}"] = ram = BlockRam(self.depth)
                m.d.comb += [
                    ram.read.en.eq(self.read),
                    ram.read.addr.eq(self.read_row),
                    self.read_data.word_select(lane, ENTRY_BITS).eq(ram.read.data),
                    ram.write.en.eq(self.mask[lane]),
                    ram.write.addr.eq(self.write_row),
                    ram.write.data.eq(self.write_data.word_select(lane, ENTRY_BITS)),
                ]
            return m
        m.submodules.memory = memory = Memory(
            shape=data.ArrayLayout(ENTRY_BITS, 4), depth=self.depth, init=[]
        )
        read = memory.read_port()
        write = memory.write_port(granularity=1)
        m.d.comb += [
            read.en.eq(self.read),
            read.addr.eq(self.read_row),
            self.read_data.eq(read.data),
            write.en.eq(self.mask),
            write.addr.eq(self.write_row),
            write.data.eq(self.write_data),
        ]
        return m


class GlobalBuffer(wiring.Component):
    """The banks and their crossbar.

    Members: `read_<client>` for readers(config), `write_<client>` for writers(config); counters
    `reads` and `writes` (64-bit bank accesses this cycle) and `conflict` (a client was refused).

    A read of word a returns words a and a+1, wherever pairs end. Latency: 4 cycles from an accepted
    request to the response; three more with config.registered: `request.ready` is a register then,
    and what a queue's RAM shows goes to one. Throughput: every client one access a cycle unless a
    client of higher priority addresses one of the same banks. A client without room for its
    response never blocks another. With one pair a read and a write a cycle, and one multiplexer for
    all clients.
    """

    def __init__(self, config: Config):
        self.config = config
        super().__init__(
            {f"read_{c}": In(READ_SIGNATURE) for c in readers(config)}
            | {f"write_{c}": In(WRITE_SIGNATURE) for c in writers(config)}
            | {"reads": Out(4), "writes": Out(3), "conflict": Out(1)}
        )

    def elaborate(self, platform):
        m = Module()
        pairs, depth = self.config.glb_pairs, self.config.glb_depth
        names, sinks = readers(self.config), writers(self.config)
        row_bits = (depth - 1).bit_length()
        pair_bits = max(1, (pairs - 1).bit_length())

        def split(word, half):
            """(pair, row) of the bank of this half that serves words `word`, `word`+1."""
            index = Signal(WORD_ADDR)
            m.d.comb += index.eq((word + (1 - half)) >> 1)
            return index[row_bits : row_bits + pair_bits] if pairs > 1 else Const(0, 1), index[
                :row_bits
            ]

        def requests(ports, valids, needs):
            """Grants by falling priority: a client waits for any before it on a bank."""
            places = [(split(word, 0), split(word, 1)) for word in ports]
            grants = []
            for c in range(len(ports)):
                blocked = 0
                for h in range(c):
                    # whatever it needs: one more refusal costs little
                    if pairs == 1 and self.config.registered:
                        blocked = blocked | valids[h]
                        continue
                    for half in range(2):
                        blocked = blocked | (
                            valids[h]
                            & needs[h][half]
                            & needs[c][half]
                            & (places[h][half][0] == places[c][half][0])
                        )
                grant = Signal(name=f"grant_{c}_{len(ports)}")
                m.d.comb += grant.eq(valids[c] & ~blocked)
                grants.append(grant)
            return places, grants

        banks = [[GlbBank(depth, self.config.registered) for _ in range(2)] for _ in range(pairs)]
        for p in range(pairs):
            for half in range(2):
                m.submodules[f"bank_{p}_{'even' if half == 0 else 'odd'}"] = banks[p][half]

        # ---- reads: grant, bank, select, queue ------------------------------------------
        read_ports = [getattr(self, f"read_{c}") for c in names]
        wants = []
        for c in names:
            want = Signal(name=f"want_{c}")
            wants.append(want)
        asked = []
        for c, port in zip(names, read_ports):
            if self.config.registered:
                m.submodules[f"request_{c}"] = place = RegisterSlice(
                    unsigned(self.config.glb_word_bits)
                )
                m.d.comb += [
                    place.input.payload.eq(port.request.payload),
                    place.input.valid.eq(port.request.valid),
                    port.request.ready.eq(place.input.ready),
                ]
                asked.append(place.output)
            else:
                asked.append(port.request)
        places, grants = requests(
            [request.payload for request in asked], wants, [(1, 1)] * len(read_ports)
        )
        issued = []  # registered grants and their places
        swaps, swapped, selected_any = [], Signal(), Signal(2 * WORD_BITS, reset_less=True)
        for c, port in enumerate(read_ports):
            name = names[c]
            queue = StreamFifo(2 * WORD_BITS, RESPONSE_DEPTH)
            m.submodules[f"responses_{name}"] = queue
            m.submodules[f"under_way_{name}"] = under_way = LevelCounter(RESPONSE_DEPTH)
            taken = queue.output.valid & queue.output.ready
            m.d.comb += [
                wants[c].eq(asked[c].valid & under_way.room),
                asked[c].ready.eq(grants[c]),
                under_way.up.eq(grants[c]),
            ]
            m.d["sync" if self.config.registered else "comb"] += under_way.down.eq(taken)
            response = queue.output
            if self.config.registered:  # what a RAM shows is late
                response = through(m, f"response_{name}", ForwardSlice(2 * WORD_BITS), response)
            wiring.connect(m, response, wiring.flipped(port.response))
            stage = Signal(
                data.StructLayout(
                    {
                        "swap": 1,
                        "even_pair": pair_bits,
                        "even_row": row_bits,
                        "odd_pair": pair_bits,
                        "odd_row": row_bits,
                    }
                ),
                name=f"stage_{name}",
                reset_less=True,
            )
            # of stage, reading, selecting, selected
            valid = Signal(3 + self.config.registered, name=f"valid_{name}")
            m.d.sync += [
                valid.eq(Cat(grants[c], valid)),
                stage.swap.eq(asked[c].payload[0]),
                stage.even_pair.eq(places[c][0][0]),
                stage.even_row.eq(places[c][0][1]),
                stage.odd_pair.eq(places[c][1][0]),
                stage.odd_row.eq(places[c][1][1]),
            ]
            issued.append((valid[0], stage))
            # data of the banks addressed one cycle ago, or two
            selecting = Signal(stage.shape(), name=f"selecting_{name}", reset_less=True)
            reading = stage
            if self.config.registered:
                reading = Signal(stage.shape(), name=f"reading_{name}", reset_less=True)
                m.d.sync += reading.eq(stage)
            m.d.sync += selecting.eq(reading)
            even = Signal(WORD_BITS, name=f"even_{name}")
            odd = Signal(WORD_BITS, name=f"odd_{name}")
            with m.Switch(selecting.even_pair):
                for p in range(pairs):
                    with m.Case(p):
                        m.d.comb += even.eq(banks[p][0].read_data)
            with m.Switch(selecting.odd_pair):
                for p in range(pairs):
                    with m.Case(p):
                        m.d.comb += odd.eq(banks[p][1].read_data)
            if pairs > 1:
                swap, selected = (
                    selecting.swap,
                    Signal(2 * WORD_BITS, name=f"selected_{name}", reset_less=True),
                )
            else:  # of all clients one has been granted
                swaps.append(valid[-2] & selecting.swap)
                swap, selected = swapped, selected_any
            if pairs > 1 or c == 0:
                m.d.sync += selected.eq(Mux(swap, Cat(odd, even), Cat(even, odd)))
            m.d.comb += [queue.input.valid.eq(valid[-1]), queue.input.payload.eq(selected)]
        if pairs == 1:
            m.d.comb += swapped.eq(Cat(*swaps).any())
        for p in range(pairs):
            for half in range(2):
                bank = banks[p][half]
                side = "even" if half == 0 else "odd"
                for valid, stage in issued:
                    with m.If(valid & (stage[f"{side}_pair"] == p)):
                        m.d.comb += [bank.read.eq(1), bank.read_row.eq(stage[f"{side}_row"])]

        # ---- writes: grant, bank --------------------------------------------------------
        write_ports = [getattr(self, f"write_{c}") for c in sinks]
        needs, rotated = [], []
        for port in write_ports:
            low, high = port.payload.mask[:4], port.payload.mask[4:]
            odd_first = port.payload.word[0]
            masks = Mux(odd_first, high, low), Mux(odd_first, low, high)
            words = port.payload.data[:WORD_BITS], port.payload.data[WORD_BITS:]
            needs.append((masks[0].any(), masks[1].any()))
            rotated.append(
                (masks, (Mux(odd_first, words[1], words[0]), Mux(odd_first, words[0], words[1])))
            )
        w_places, w_grants = requests(
            [p.payload.word for p in write_ports], [p.valid for p in write_ports], needs
        )
        written = []
        for c, port in enumerate(write_ports):
            m.d.comb += port.ready.eq(w_grants[c])
            for half in range(2):
                stage = Signal(
                    data.StructLayout({"data": WORD_BITS, "pair": pair_bits, "row": row_bits}),
                    name=f"write_{sinks[c]}_{half}",
                    reset_less=True,
                )
                mask = Signal(4, name=f"mask_{sinks[c]}_{half}")
                m.d.sync += [
                    mask.eq(Mux(w_grants[c], rotated[c][0][half], 0)),
                    stage.data.eq(rotated[c][1][half]),
                    stage.pair.eq(w_places[c][half][0]),
                    stage.row.eq(w_places[c][half][1]),
                ]
                written.append(mask)
                for p in range(pairs):
                    bank = banks[p][half]
                    with m.If(mask.any() & (stage.pair == p)):
                        m.d.comb += [
                            bank.mask.eq(mask),
                            bank.write_row.eq(stage.row),
                            bank.write_data.eq(stage.data),
                        ]

        m.d.comb += [
            self.reads.eq(sum(2 * valid for valid, _ in issued)),
            self.writes.eq(sum(mask.any() for mask in written)),
            self.conflict.eq(
                Cat(
                    *(w & ~g for w, g in zip(wants, grants)),
                    *(p.valid & ~g for p, g in zip(write_ports, w_grants)),
                ).any()
            ),
        ]
        return m
