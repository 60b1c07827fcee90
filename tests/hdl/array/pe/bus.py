"""A row's bus, as a part of a PE sees it, and the configurations that give the parts' variants."""

from sim.benches.tb_pe import CONFIG

WORDS = CONFIG.replace(skip=False)
SKIPPING = CONFIG
ENTRIES = WORDS.replace(psum_lanes=1, psum_fifo=0, input_lanes=1, ifmap_fifo=0)
PAIRS = ENTRIES.replace(simd=2, psum_spad=16, filter_spad=256)


async def offer(ctx, part, words, *, rng, stall=0.0, times=None):
    """Moves every word over the bus of `part`: there may be none, or one for another PE, or one
    that another PE does not accept yet. `times` gets the cycles in which they move."""
    now = 0

    async def tick():
        nonlocal now
        await ctx.tick()
        now += 1

    for word in words:
        while rng.random() < stall:
            stranger = rng.random() < 0.5
            ctx.set(part.word, word)
            ctx.set(part.match, 0 if stranger else rng.random() < 0.5)
            assert not stranger or ctx.get(part.accept), "a word for another PE waits"
            ctx.set(part.fire, stranger)
            await tick()
        ctx.set(part.word, word)
        ctx.set(part.match, 1)
        moves = False
        while not moves:
            moves = ctx.get(part.accept) and rng.random() >= stall
            ctx.set(part.fire, moves)
            if moves and times is not None:
                times.append(now)
            await tick()
        ctx.set(part.fire, 0)


def split(rng, config, values, *, ragged=0.0):
    """Entries as words of the bus: (bits, how many) of each."""
    words, at = [], 0
    while at < len(values):
        count = config.input_lanes
        if rng.random() < ragged:
            count = rng.randint(1, count)
        some = values[at : at + count]
        words.append((sum((v & 0xFFFF) << 16 * n for n, v in enumerate(some)), len(some)))
        at += count
    return words
