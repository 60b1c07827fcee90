"""A model of a segment's commands in time: an event for each command and engine, burst of LOAD and
lap of the array.

It follows the fetcher and its queue in front of each engine, semaphores, the one budget of DRAM,
and the array by *laps*, the windows of one band of an image. How long a lap takes comes from a
recurrence over its windows (`paces`): the slowest PE's MACs within the slack of the PEs' buffers,
the ifmap network and the psum networks. Not modelled: conflicts at the banks of the global buffer,
single beats, stalls that a memory adds. Latencies are those of the components in hdl/; where
several add up, the sum was checked against the RTL.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Callable
from dataclasses import InitVar, dataclass, field

import numpy as np

from compiler.model import cost
from compiler.model.cost import DecodedCommand, PassWork, Stream, Work
from compiler.numbers import ceil
from hdl.config import LANES, PSUM_LANES, SEMAPHORES, Config
from hdl.isa import COMMAND_BYTES, Mode, Opcode
from hdl.timing import (
    BURST,
    HAZARD,
    IN_FLIGHT,
    LENGTH_BURST,
    LENGTH_WORDS,
    LOADS,
    PAGE,
    READ_BURSTS,
    STORE_WORDS,
    WRITE_BURSTS,
)

BEATS = COMMAND_BYTES // cost.BEAT
DECODE = 2  # cycles from a command's last beat to its dispatch
# cycles from a LOAD, or a command's place coming free, to its address on the bus
ASK = 5
SETTLE = 12  # cycles at both ends of a program: doorbell, quiet engines
# from a sequencer's command to its first word in a PE: request, bank, queue, two buses
SEQUENCE = 8
STORE_FILL = 38  # from a STORE to its first word: products, strips, taps, pooler, packer
ANSWER = 4  # from a burst's last word to its AXI answer, beside the latency of the memory
FILL = 9  # from a SCALE to its first channel in the table
# from the last MAC of a window to its psums in the chain and out of the output network
DRAIN = 12
SCALE = 10  # of a psum through OFMAP's scaler
HOP = 2  # of a psum through a PE of the chain
X_BUS = 2  # words that wait in a row of a network


class Sets(dict):
    """Semaphores of a mask."""

    def __missing__(self, mask: int) -> list[int]:
        self[mask] = [n for n in range(SEMAPHORES) if mask >> n & 1]
        return self[mask]


SETS = Sets()


class Clock:
    """Events in order of their time."""

    def __init__(self):
        self.now = 0.0
        self.events: list[tuple[float, int, Callable]] = []
        self.count = 0

    def at(self, time: float, action: Callable) -> None:
        self.count += 1
        heapq.heappush(self.events, (max(time, self.now), self.count, action))

    def run(self) -> None:
        while self.events:
            self.now, _, action = heapq.heappop(self.events)
            action()


class Memory:
    """One budget of beats for reads, in the order of their addresses, and writes; where both want
    it each has half. Actions are called when the last beat has passed."""

    def __init__(self, clock: Clock, config: Config):
        self.clock, self.latency = clock, config.dram_latency
        self.rate = config.dram_bytes_per_cycle / cost.BEAT
        self.reads: deque = deque()  # [beats left, cycle from which it may be answered, action]
        self.writes: deque = deque()  # [beats left, least cycles of a beat, action]
        self.since = 0.0
        self.plan = 0

    def read(self, beats: int, action: Callable, asked: float) -> None:
        self._add(self.reads, [beats, asked + self.latency, action])

    def write(self, beats: float, pace: float, action: Callable) -> None:
        self._add(self.writes, [beats, pace, action])

    def _add(self, queue: deque, item: list) -> None:
        if queue:  # nothing changes before those ahead have ended
            queue.append(item)
            return
        self._pass()
        queue.append(item)
        self._next()

    def _rates(self) -> tuple[float, float]:
        """Beats a cycle of the oldest read and write."""
        reading = bool(self.reads) and self.reads[0][1] <= self.since + 1e-6
        write = min(1.0, self.rate, 1 / max(self.writes[0][1], 1e-9)) if self.writes else 0.0
        if not reading:
            return 0.0, write
        if not write:
            return min(1.0, self.rate), 0.0
        write = min(write, max(self.rate / 2, self.rate - 1))
        return min(1.0, self.rate - write), write

    def _pass(self) -> None:
        """Lets the time since the last event pass."""
        time = self.clock.now - self.since
        if time > 0:
            read, write = self._rates()
            if read:
                self.reads[0][0] -= read * time
            if write:
                self.writes[0][0] -= write * time
        self.since = self.clock.now

    def _next(self) -> None:
        self.plan += 1
        plan, read, write = self.plan, *self._rates()
        times = []
        if read:
            times.append(self.reads[0][0] / read)
        elif self.reads:
            times.append(self.reads[0][1] - self.since)
        if write:
            times.append(self.writes[0][0] / write)
        if times:
            self.clock.at(self.since + max(0.0, min(times)), lambda: self._step(plan))

    def _step(self, plan: int) -> None:
        if plan != self.plan:
            return
        self._pass()
        for queue in (self.reads, self.writes):
            if queue and queue[0][0] < 1e-6:
                self.clock.at(self.clock.now, queue.popleft()[2])
        self._next()


class Engine:
    """A queue, its semaphores, the command register, and commands under way; `start` is called with
    what the engine takes, which then calls `free` and, in order, `done`."""

    def __init__(self, line: Timeline, name: str, start: Callable):
        self.line, self.name, self.start = line, name, start
        self.queue: deque[DecodedCommand] = deque()
        self.depth = line.config.engine_queue(name)
        self.register: DecodedCommand | None = None
        self.flight: deque[DecodedCommand] = deque()
        self.ready = True  # takes the command in the register

    @property
    def room(self) -> bool:
        return len(self.queue) < self.depth

    def offer(self, command: DecodedCommand) -> None:
        self.queue.append(command)
        self.move()

    def move(self) -> None:
        """The head of the queue to the register, if its semaphores are there."""
        line = self.line
        while self.queue and self.register is None and len(self.flight) < IN_FLIGHT:
            taken = SETS[self.queue[0].wait]
            if not all(line.semaphores[n] for n in taken):
                return
            for n in taken:
                line.semaphores[n] -= 1
            self.register = self.queue.popleft()
            self.flight.append(self.register)
            line.clock.at(line.clock.now + 2, self.take)
            line.dispatch()

    def take(self) -> None:
        """The engine takes what is in the register."""
        if self.ready and self.register is not None:
            command, self.register = self.register, None
            self.ready = False
            self.start(command)
            self.move()

    def free(self) -> None:
        self.ready = True
        if self.register is not None:
            self.line.clock.at(self.line.clock.now + 1, self.take)

    def done(self) -> None:
        line, command = self.line, self.flight.popleft()
        line.left -= 1
        for n in SETS[command.signal]:
            line.semaphores[n] += 1
        if command.signal:
            for engine in line.engines.values():
                engine.move()
        self.move()
        line.dispatch()


class Timeline:
    """Runs a segment's commands; `cycles` afterwards."""

    def __init__(self, work: Work):
        self.work, self.config = work, work.config
        self.clock = Clock()
        self.memory = Memory(self.clock, self.config)
        self.semaphores = [0] * SEMAPHORES
        self.engines = {
            name: Engine(self, name, getattr(self, "start_" + name))
            for name in ("load", "ifmap", "filter", "psum", "ofmap", "store")
        }
        self.left = len(work.commands)
        # fetch
        self.asked = self.arrived = self.sent = 0
        self.busy = False
        # load
        self.walks: deque = deque()
        self.under_way = self.loads_open = 0
        self.issued = 0.0
        # array
        self.passes = work.passes
        self.laps = paces(self.passes, self.config)
        self.at_pass = self.at_lap = 0
        self.filtered: dict[int, float] = {}
        self.filters = self.psums = 0
        self.taken: float | None = None  # when FILTER took its command, until its words go out
        # (time of the first word, laps left, command) of IFMAPs taken
        self.feeds: deque = deque()
        self.outs: deque = deque()  # [time, laps left] of OFMAPs taken or in the register
        self.ended = [0.0, 0.0]  # of the passes so far, with two before the first
        self.lead = 0.0  # cycles that the ifmap network is ahead
        self.end = self.free_net = 0.0  # of the last lap's MACs and ifmap words
        self.psum_time: dict[int, float] = {}
        self.working = self.leaving = False
        # (pass, last) of laps whose psums have not left, `waiting` windows
        self.worked_laps: deque = deque()
        self.waiting = 0
        self.gone = 0.0  # of the last lap's psums
        self.pushed: deque = deque()  # psum words of the ring, and when they are there
        self.pushes = self.pops = 0

    def run(self) -> int:
        self.fetch(5)
        self.clock.run()
        if self.left:
            raise AssertionError(f"{self.left} commands do not end")
        return round(self.clock.now + SETTLE)

    # ---- fetch and dispatch --------------------------------------------------------------
    def fetch(self, delay: float) -> None:
        while (
            self.asked < len(self.work.commands)
            and self.asked < self.sent + self.config.fetch_ahead
        ):
            self.asked += 1
            self.memory.read(BEATS, self.fetched, self.clock.now + delay)

    def fetched(self) -> None:
        self.arrived += 1
        if self.arrived == self.sent + 1 and not self.busy:
            self.collect(DECODE)

    def collect(self, delay: float) -> None:
        """The next command will be decoded after `delay`."""
        self.busy = True
        self.clock.at(self.clock.now + delay, self.decoded)

    def decoded(self) -> None:
        self.busy = False
        self.dispatch()

    def dispatch(self) -> None:
        if self.busy or self.sent == len(self.work.commands) or self.arrived == self.sent:
            return
        command = self.work.commands[self.sent]
        if command.engine == "config":
            if not any(
                self.engines[n].flight or self.engines[n].queue
                for n in ("ifmap", "filter", "psum", "ofmap")
            ):
                self.busy = True
                self.clock.at(self.clock.now + self.config.pes + 3, self.configured)
            return
        engine = self.engines[command.engine]
        if engine.room:
            self.sent += 1
            self._following()
            engine.offer(command)

    def configured(self) -> None:
        self.sent += 1
        self.left -= 1
        self.busy = False
        self._following()

    def _following(self) -> None:
        self.fetch(ASK)
        if self.arrived > self.sent:
            self.collect(1 + BEATS + DECODE)

    # ---- LOAD ----------------------------------------------------------------------------
    def start_load(self, command: DecodedCommand) -> None:
        walk = Walk(self.work.loads[command.index], command.fields)
        self.walks.append(walk)
        self.issued = max(self.issued, self.clock.now + ASK - 1)
        self.walk()

    def ask(self, beats: int, action: Callable) -> None:
        self.under_way += 1
        self.issued = max(self.issued + 1, self.clock.now)
        self.memory.read(beats, action, self.issued)

    def walk(self) -> None:
        """Asks for bursts as far as there is room for them: of the oldest LOAD, and lengths of
        the next one too."""
        while self.walks:
            walk = self.walks[0]
            if not walk.begun:
                if self.loads_open == LOADS:
                    break
                walk.begun = True
                self.loads_open += 1
                self.engines["load"].free()
            for other in self.walks:
                while (
                    other.tables and other.tables[0] <= other.room and self.under_way < READ_BURSTS
                ):
                    beats = other.tables.popleft()
                    other.room -= beats
                    self.ask(beats, lambda other=other: self.lengths(other))
            while walk.strips and walk.strips[0][0] < walk.known and self.under_way < READ_BURSTS:
                group, beats, release = walk.strips.popleft()
                walk.room += release
                last = not walk.strips
                if beats:
                    self.ask(beats, lambda last=last, walk=walk: self.landed(last, walk))
                elif last:
                    self.clock.at(self.clock.now + ASK, self.load_done)
                if release and walk.tables:
                    break
            else:
                if walk.strips:
                    break
                self.walks.popleft()

    def lengths(self, walk: Walk) -> None:
        self.under_way -= 1
        walk.known += 1
        self.walk()

    def landed(self, last: bool, walk: Walk) -> None:
        self.under_way -= 1
        walk.first = min(walk.first, self.clock.now)
        if last:  # the decoder gives a word a cycle
            self.clock.at(max(self.clock.now, walk.first + walk.decoded) + 3, self.load_done)
        self.walk()

    def load_done(self) -> None:
        self.loads_open -= 1
        self.engines["load"].done()
        self.walk()

    # ---- STORE ---------------------------------------------------------------------------
    def start_store(self, command: DecodedCommand) -> None:
        engine = self.engines["store"]
        if command.opcode is Opcode.SHAPE:
            self.clock.at(self.clock.now + 1, engine.done)
            engine.free()
            return
        stored = self.work.stores[command.index]
        words = max(1, stored.words)
        pace = (
            max(
                stored.walk,
                stored.bursts * (self.config.dram_latency + ANSWER) / (WRITE_BURSTS - 1),
            )
            / words
        )
        self.clock.at(
            self.clock.now + STORE_FILL,
            lambda: self.writing(words, pace, self.clock.now + stored.walk),
        )

    def writing(self, words: int, pace: float, walked: float) -> None:
        """The next STORE starts when all words of this one are packed."""
        engine = self.engines["store"]
        kept = min(words, STORE_WORDS)
        if words > kept:
            self.memory.write(words - kept, pace, lambda: self.clock.at(walked, engine.free))
        else:
            self.clock.at(walked, engine.free)
        self.memory.write(
            kept,
            pace,
            lambda: self.clock.at(self.clock.now + self.memory.latency + ANSWER, engine.done),
        )

    # ---- the array -----------------------------------------------------------------------
    def start_filter(self, command: DecodedCommand) -> None:
        self.taken = self.clock.now
        self.feed_filters()

    def feed_filters(self) -> None:
        """Filters of a pass go out once the pass two before it has ended."""
        n = self.filters
        if self.taken is None or len(self.ended) <= n:
            return
        v = self.passes[n].filter.fields
        begin = max(self.taken + SEQUENCE, self.ended[n] + 2)
        words = (
            max(v["tags"], LANES) if self.config.input_lanes == LANES else v["tags"] * LANES
        ) * v["words"]
        self.filters += 1
        ready = begin + words
        self.taken = None

        def sent():
            self.filtered[n] = self.clock.now + LANES
            self.engines["filter"].done()
            self.work_lap()

        self.clock.at(ready, sent)
        self.clock.at(
            max(self.clock.now + 1, ready - SEQUENCE - X_BUS), self.engines["filter"].free
        )

    def start_ifmap(self, command: DecodedCommand) -> None:
        v = command.fields
        self.feeds.append([self.clock.now + SEQUENCE, v["images"] * v["bands"]])
        self.work_lap()

    def start_psum(self, command: DecodedCommand) -> None:
        self.psum_time[self.psums] = self.clock.now + SEQUENCE
        self.psums += 1
        self.leave()
        self.work_lap()

    def start_ofmap(self, command: DecodedCommand) -> None:
        if command.opcode is Opcode.SCALE:
            filled = self.clock.now + FILL + command.fields["channels"]
            self.clock.at(filled, self.engines["ofmap"].done)
            self.clock.at(filled, self.engines["ofmap"].free)
            return
        self.outs.append([self.clock.now, command.fields["images"]])
        self.leave()
        self.work_lap()

    def psums_of(self, n: int) -> float | None:
        """When the psums of the lap that leaves next can come and go, None if that is not known
        yet."""
        item = self.passes[n]
        if n not in self.psum_time or not self.outs:
            return None
        # An OFMAP that is taken up before the first psums reach it costs nothing.
        known = max(self.psum_time[n], self.outs[0][0] - drain_cycles(item, self.config))
        if item.psum.fields["from_ring"]:
            words = self.pops + item.psum_words
            if words > self.pushes:
                return None
            while self.pushed[0][0] < words:
                self.pushed.popleft()
            known = max(known, self.pushed[0][1])
        return known

    def work_lap(self) -> None:
        """The PEs go on with the next lap if what it needs is there, or known to come. They run
        ahead of the psums by no more than their drain buffers hold."""
        if (
            self.working
            or self.at_pass == len(self.passes)
            or not self.feeds
            or self.at_pass not in self.filtered
        ):
            return
        n, lap = self.at_pass, self.at_lap
        item, pace = self.passes[n], self.laps[n]
        positions, duration = item.head["positions"], pace.laps[lap]
        begin = fed = max(
            self.end, self.feeds[0][0] + pace.fill, self.free_net + pace.fill if lap == 0 else 0.0
        )
        if lap == 0:
            begin = max(begin, self.filtered[n])
        # While the PEs wait for something else the ifmap network gets ahead of them.
        lead = min(self.lead + begin - fed, pace.lead)
        saved = min(lead, pace.waits[lap])
        duration -= saved
        end = max(begin + duration, self.clock.now)
        if self.waiting + positions > pace.slack:
            if self.waiting:
                return
            known = self.psums_of(n)
            if known is None:
                return
            end = max(end, known + duration * (1 - pace.slack / positions))
        self.lead = lead - saved + end - begin - duration
        self.working = True
        self.waiting += positions
        self.end, self.free_net = end, end - pace.tail
        self.feeds[0][1] -= 1
        if self.feeds[0][1] == 0:
            self.feeds.popleft()

            def all_fed() -> None:
                self.engines["ifmap"].done()
                self.engines["ifmap"].free()

            self.clock.at(self.free_net, all_fed)
        last = lap + 1 == item.head["laps"]
        self.at_pass, self.at_lap = (n + 1, 0) if last else (n, lap + 1)
        self.clock.at(end, lambda: self.worked(n, last))

    def worked(self, n: int, last: bool) -> None:
        self.working = False
        self.worked_laps.append((n, last))
        if last:
            self.ended.append(self.clock.now)
            self.feed_filters()
        self.leave()
        self.work_lap()

    def leave(self) -> None:
        """The psums of the oldest lap that has been worked leave the PEs."""
        if self.leaving or not self.worked_laps:
            return
        n, last = self.worked_laps[0]
        known = self.psums_of(n)
        if known is None:
            return
        self.leaving = True
        item, positions = self.passes[n], self.passes[n].head["positions"]
        left = min(positions, self.laps[n].slack)  # windows whose psums are still in the PEs
        self.gone = max(
            self.clock.now,
            known + left * self.laps[n].psum,
            self.gone + positions * self.laps[n].psum,
        )
        self.clock.at(self.gone, lambda: self.has_left(item, last))

    def has_left(self, item: PassWork, last: bool) -> None:
        self.leaving = False
        self.worked_laps.popleft()
        self.waiting -= item.head["positions"]
        drain = drain_cycles(item, self.config)
        if item.psum.fields["from_ring"]:
            self.pops += item.psum_words
        if item.ofmaps[0].fields["to_ring"]:
            self.pushes += item.psum_words
            self.pushed.append((self.pushes, self.clock.now + drain))
        if last:
            self.engines["psum"].done()
            self.engines["psum"].free()
        out = self.outs[0]
        out[1] -= 1
        if out[1] == 0:
            self.outs.popleft()
            self.clock.at(self.clock.now + drain + SCALE, self.engines["ofmap"].done)
            self.clock.at(self.clock.now + drain - DRAIN // 2, self.engines["ofmap"].free)
        self.leave()
        self.work_lap()


@dataclass
class Walk:
    """A LOAD: its bursts still to be asked for. tables: beats of those for lengths of coded strips;
    strips: (of which table burst they need the lengths, beats, words of lengths that they use up);
    room: for words of lengths; known: table bursts that have come."""

    load: cost.Loaded
    fields: InitVar[dict[str, int]]
    tables: deque[int] = field(default_factory=deque)
    strips: deque[tuple[int, int, int]] = field(default_factory=deque)
    room: int = LENGTH_WORDS
    begun: bool = False
    known: int = 0
    decoded: int = 0  # words that the decoder makes of coded strips
    first: float = float("inf")  # when the first strip came

    def __post_init__(self, fields):
        words = self.load.strips
        if fields["rlc"]:
            self.decoded, group = self.load.words, 0
            for row, table in enumerate(self.load.tables):
                mine = words[row * fields["count_c"] : (row + 1) * fields["count_c"]].tolist()
                each = LENGTH_BURST * LANES
                for n in range(ceil(table, LENGTH_BURST)):
                    beats = min(LENGTH_BURST, table - n * LENGTH_BURST)
                    part = (
                        mine[n * each : (n + 1) * each]
                        if n + 1 < ceil(table, LENGTH_BURST)
                        else mine[n * each :]
                    )
                    self.tables.append(beats)
                    self.strips.extend((group, x, 0) for x in part[:-1])
                    self.strips.append((group, part[-1] if part else 0, beats))
                    group += 1
            return
        self.known = 1
        start = fields["dram"] + cost.nest(
            *((fields["count_" + k], fields["stride_" + k]) for k in "abc")
        )
        for at in (start.ravel() // cost.BEAT % PAGE).tolist():
            left = fields["length"]
            while left:
                beats = min(left, BURST, PAGE - at)
                self.strips.append((0, beats, 0))
                left, at = left - beats, (at + beats) % PAGE


# ---- the pace of a pass ------------------------------------------------------------------


def drain_cycles(item: PassWork, config: Config) -> float:
    """From the last MAC of a lap to the end of its psums: through the chain, and out of all
    columns."""
    return (
        DRAIN
        + HOP * item.chain["height"] * item.chain["groups"]
        + item.columns * ceil(item.psums, config.psum_lanes)
    )


@dataclass
class Pace:
    """laps: cycles of each lap; waits: of those, for ifmap words and psums; lead: what the PEs hold
    of the ifmap words behind a window, in cycles of the network; fill: from the first ifmap word to
    the first MAC; tail: from a lap's last ifmap word to its last MAC; slack: windows that the PEs
    run ahead of the psums; psum: cycles that those of a window take."""

    laps: np.ndarray
    waits: np.ndarray
    lead: float
    fill: float
    tail: float
    slack: int
    psum: float


def psum_cycles(item: PassWork, config: Config) -> float:
    """Cycles that the psums of a window take through the output network, the slower one. The tails
    of a row take turns (hdl/array/gon.py); a tail gathers a psum a cycle, so only its first is
    there when its turn comes, and of a row those of its first tail. With one psum lane all take
    turns for every psum."""
    if config.psum_lanes == 1:
        return float(item.columns * item.psums)
    lanes = ceil(item.psums, PSUM_LANES)
    if lanes == 1:
        return item.columns
    turn = max(lanes, 1 + item.psums - PSUM_LANES)
    tails = (np.arange(item.columns) + 1) * (item.pes // item.columns) - 1
    rows = np.bincount(tails // config.columns)
    return float((lanes + (rows[rows > 0] - 1) * turn).sum())


MOST_LAPS = 4  # of equal laps that are followed one by one


def paces(passes: list[PassWork], config: Config) -> list[Pace]:
    """Of every pass; those of one shape together."""
    groups: dict[tuple, list[int]] = {}
    for n, item in enumerate(passes):
        v, c = item.head, item.chain
        key = (
            c["mode"],
            c["rows"],
            c["sets"],
            *(
                v[name]
                for name in (
                    "rows",
                    "groups",
                    "p",
                    "channels",
                    "window",
                    "step",
                    "positions",
                    "laps",
                    "outer",
                    "inner",
                    "length",
                )
            ),
        )
        groups.setdefault(key, []).append(n)
    found: dict[int, Pace] = {}
    for (mode, *_), members in groups.items():
        of_group = _paces_skipping if mode == Mode.SKIP else _paces_dense
        found |= of_group(passes, members, config)
    return [found[n] for n in range(len(passes))]


def _paces_skipping(passes: list[PassWork], members: list[int], config: Config) -> dict[int, Pace]:
    """Where zeros are skipped: those of the same ifmaps once, all in one recurrence."""
    item = passes[members[0]]
    v, stream = item.head, Stream.of(item.head, config)
    distinct: dict[tuple, list[int]] = {}  # passes of the same ifmaps
    for n in members:
        distinct.setdefault(tuple(id(w) for w in passes[n].windows), []).append(n)

    def of_pass(n: int, name: str) -> np.ndarray:
        """[lap, PE, ...]"""
        parts = []
        for w in passes[n].windows:
            assert w.nonzeros is not None
            parts.append(getattr(w.nonzeros, name).reshape(w.laps, v["rows"] * v["groups"], -1))
        return np.concatenate(parts)

    def gather(name: str) -> np.ndarray:
        """[lap, position, pass, PE]"""
        each = np.stack([of_pass(same[0], name) for same in distinct.values()])
        return each.transpose(1, 3, 0, 2).astype(np.int64)

    entries = gather("entries")
    base = np.cumsum(entries, axis=0) - entries
    found = _recurrence(
        item, stream, gather("used"), base + gather("sent"), base + gather("freed"), config
    )
    return {n: pace for same, pace in zip(distinct.values(), found) for n in same}


def _paces_dense(passes: list[PassWork], members: list[int], config: Config) -> dict[int, Pace]:
    """Where every entry counts: passes, PEs, and laps after the first ones are alike."""
    item = passes[members[0]]
    v, stream = item.head, Stream.of(item.head, config)
    laps = min(v["laps"], MOST_LAPS)
    base = np.arange(laps)[:, None, None, None] * stream.behind[-1]
    used = np.full((laps, v["positions"], 1, 1), v["window"])
    sent, freed = base + stream.sent[:, None, None], base + stream.freed[:, None, None]
    (pace,) = _recurrence(item, stream, used, sent, freed, config)
    pace.laps, pace.waits = (
        np.concatenate([x, np.repeat(x[-1:], v["laps"] - laps)]) for x in (pace.laps, pace.waits)
    )
    return dict.fromkeys(members, pace)


def _room(
    used: np.ndarray, sent: np.ndarray, freed: np.ndarray, slot: int, config: Config
) -> tuple[np.ndarray, np.ndarray]:
    """When a window's last word has room in a PE, [window, pass, PE]: the window that must be done
    (-1: none), and the cycles before its end from which there is room. As _recurrence."""
    laps, positions, count, pes = used.shape
    total = laps * positions
    sent, freed = sent.reshape(total, -1).T - config.ifmap_spad, freed.reshape(total, -1).T
    span = np.arange(len(sent))[:, None] * (int(freed.max()) + config.ifmap_spad + 1)
    need = np.searchsorted((freed + span).ravel(), (np.maximum(sent, 0) + span).ravel()).reshape(
        sent.shape
    )
    need = need - np.arange(len(sent))[:, None] * total
    need = np.where(sent > 0, np.minimum(need, np.arange(total) - 1), -1)
    # It frees entry by entry: cycles from there to the window's end.
    at = np.maximum(need, 0)
    before = np.where(at > 0, np.take_along_axis(freed, np.maximum(at - 1, 0), 1), 0)
    early = np.take_along_axis(used.reshape(total, -1).T, at, 1) + before - np.maximum(sent, 0)
    early = (slot * np.maximum(0, early)).T.reshape(total, count, pes)
    return need.T.reshape(total, count, pes), early


def _recurrence(
    item: PassWork,
    stream: Stream,
    used: np.ndarray,
    sent: np.ndarray,
    freed: np.ndarray,
    config: Config,
) -> list[Pace]:
    """Paces of passes, from the entries of each window [lap, position, pass, PE] (cost.Windows;
    `sent` and `freed` of all laps together).

    A PE ends a window when it has worked on its entries, those of its last word once that has come,
    and the psums of the window `slack` before have left its drain buffer. Psums leave in order,
    when all PEs have theirs, as fast as the psum networks go. An ifmap word goes out when every PE
    has room for it.
    """
    laps, positions, count, pes = used.shape
    total = laps * positions
    slot = max(item.slots(config), HAZARD)
    tags = item.head["rows"] * item.head["groups"]
    psum = psum_cycles(item, config)
    # The last psum of a window has room once `behind` psums of the window `slack` before have left.
    # A place in the buffer has config.simd psums, or one with padding.
    places = item.slots(config) * (item.head["channels"] + 1)
    slack, rest = divmod(config.drain_depth // config.simd, places)
    behind = (places - rest if slack else places) * item.psums / places
    slack = max(1, slack)
    work = np.maximum(used, 1).reshape(total, count, pes) * float(slot)
    # What is left of a window when its last word comes.
    late = np.minimum(
        work,
        ((stream.behind - 1) % item.head["length"] % config.input_lanes + 1)[None, :, None, None]
        .repeat(laps, 0)
        .reshape(total, 1, 1)
        * float(slot),
    )
    need, early = _room(used, sent, freed, slot, config)
    words = np.diff(
        (np.arange(laps)[:, None] * stream.words + stream.word).ravel(), prepend=stream.word[0]
    ) * float(tags)
    rows, columns = np.ogrid[:count, :pes]
    ends = np.zeros((total + 1, count, pes))  # of windows, from the one before the first on
    left = np.zeros((total + slack, count))  # psums, shifted by slack
    arrived = np.zeros((total, count))
    arrival, done = np.zeros(count), np.zeros((count, pes))
    for f in range(total):
        # nothing of a lap's first window is there before its first word
        if f % positions == 0 and f:
            done = np.maximum(done, arrival[:, None] + tags)
        arrival = np.maximum(
            arrival + words[f], (ends[need[f] + 1, rows, columns] - early[f]).max(1)
        )
        arrived[f] = arrival
        done = np.maximum(
            np.maximum(done + work[f], arrival[:, None] + late[f]), (left[f] + behind)[:, None]
        )
        ends[f + 1] = done
        left[f + slack] = np.maximum(left[f + slack - 1] + psum, done.max(1))
    marks = ends[positions::positions].max(2)
    tail = (marks - arrived[positions - 1 :: positions]).mean(0)
    durations = np.diff(marks, axis=0, prepend=0.0)
    fill = float((stream.word[0] + 1) * tags)
    waits = durations - work.max(2).reshape(laps, positions, count).sum(1)
    room = config.ifmap_spad + LANES * config.ifmap_fifo - item.head["window"]
    lead = max(0.0, room * stream.words * tags / stream.behind[-1])
    return [
        Pace(durations[:, n], np.maximum(0.0, waits[:, n]), lead, fill, float(tail[n]), slack, psum)
        for n in range(count)
    ]


def cycles(work: Work) -> int:
    """The model's cycles of a segment, doorbell to completion."""
    return Timeline(work).run()
