"""Run-length compression of feature maps, in the format of Eyeriss (Chen et al., JSSC 2017, section
IV-B, fig. 8).

A strip of int16 entries becomes 64-bit words of three pairs and a termination bit. Pair i is bits
21*i .. 21*i + 20: a 5-bit run of zeros in its low bits, then the 16-bit level, the entry behind
them. Bit 63 is set in the strip's last word and in no other. A run over 31 takes pairs of run 31
and level 0, which stand for 32 zeros each. The zeros behind the last level that is not 0 are not
coded: both sides know a strip's number of entries, so a strip of zeros has no words, and the pairs
of the last word that are not needed are 0. A strip has one encoding, of at most `slot_words` words.

A reader takes any pairs that stay within the strip; it refuses a word whose bit 63 is wrong, a word
that begins behind the strip's last entry, a level other than 0 behind it, and more words than a
slot holds.
"""

from typing import SupportsInt

import numpy as np

RUN_BITS, LEVEL_BITS, PAIRS = 5, 16, 3
PAIR_BITS = RUN_BITS + LEVEL_BITS
MOST_RUN = (1 << RUN_BITS) - 1
LAST = np.uint64(1 << 63)
LENGTH_BYTES = 2  # of a strip's entry in the length table


class RlcError(ValueError):
    """A stream that breaks the format. strip, word: where."""

    def __init__(self, message: str, strip: SupportsInt, word: SupportsInt):
        self.strip, self.word = int(strip), int(word)
        super().__init__(f"strip {self.strip}, word {self.word}: {message}")


def slot_words(entries: int) -> int:
    """Words that a strip of `entries` takes at most: every entry a pair."""
    return -(-entries // PAIRS)


def encode(strips: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(words uint64 [strips, slot_words], lengths uint16 [strips]) of int16 [strips, entries];
    words past a strip's length are 0."""
    count, entries = strips.shape
    flat = np.ascontiguousarray(strips).reshape(-1)
    at = np.flatnonzero(flat)
    strip = at // entries
    first = np.diff(strip, prepend=-1) != 0
    zeros = np.diff(at, prepend=-1) - 1
    zeros[first] = at[first] - strip[first] * entries
    # A level's own pair comes behind those of its run's whole 32s.
    own = np.cumsum(zeros // (MOST_RUN + 1) + 1)
    slot = slot_words(entries)
    total = np.zeros(count, np.int64)
    ends = np.flatnonzero(np.diff(strip, append=-1) != 0)
    total[strip[ends]] = np.diff(own[ends], prepend=0)
    before = np.cumsum(total) - total
    pairs = np.zeros((count, slot * PAIRS), np.uint64)
    pairs[np.arange(slot * PAIRS) < total[:, None]] = MOST_RUN
    pairs[strip, own - 1 - before[strip]] = (zeros % (MOST_RUN + 1)).astype(np.uint64) | flat[
        at
    ].view(np.uint16).astype(np.uint64) << np.uint64(RUN_BITS)
    words = np.zeros((count, slot), np.uint64)
    for i in range(PAIRS):
        words |= pairs[:, i::PAIRS] << np.uint64(PAIR_BITS * i)
    lengths = -(-total // PAIRS)
    used = np.flatnonzero(lengths)
    words[used, lengths[used] - 1] |= LAST
    return words, lengths.astype(np.uint16)


def decode(words: np.ndarray, lengths: np.ndarray, entries: int) -> np.ndarray:
    """int16 [strips, entries] of words uint64 [strips, at least the longest length] and lengths
    [strips]; words past a strip's length may hold anything. Raises RlcError for the first word that
    is malformed."""
    count, lengths = len(lengths), np.asarray(lengths, np.int64)
    slot = slot_words(entries)
    for strip in np.flatnonzero(lengths > slot):
        raise RlcError(f"{lengths[strip]} words, a slot holds {slot}", strip, slot)
    words = words[:, :slot]
    number = np.arange(words.shape[1])
    used = number < lengths[:, None]
    words = np.where(used, words, np.uint64(0))
    pairs = np.stack([words >> np.uint64(PAIR_BITS * i) for i in range(PAIRS)], axis=2).reshape(
        count, -1
    )
    level = (pairs >> np.uint64(RUN_BITS) & np.uint64(0xFFFF)).astype(np.uint16).view(np.int16)
    place = np.cumsum((pairs & np.uint64(MOST_RUN)).astype(np.int64) + 1, axis=1) - 1
    outside = (place >= entries) & (level != 0)
    begin = np.zeros((count, words.shape[1]), np.int64)
    begin[:, 1:] = place[:, PAIRS - 1 : -1 : PAIRS] + 1
    wrong = {
        "its termination bit is wrong": used
        & ((words >> np.uint64(63) != 0) != (number == lengths[:, None] - 1)),
        "begins behind the strip": used & (begin >= entries),
        "a level behind the strip": outside.reshape(count, -1, PAIRS).any(axis=2),
    }
    bad = np.argwhere(np.logical_or.reduce(list(wrong.values())))
    if len(bad):
        strip, word = bad[0]
        raise RlcError(next(why for why, where in wrong.items() if where[strip, word]), strip, word)
    out = np.zeros((count, entries), np.int16)
    row, column = np.nonzero(level)
    out[row, place[row, column]] = level[row, column]
    return out


def coded_bytes(strips: np.ndarray) -> int:
    """Bytes of int16 [strips, entries] coded, without the length table."""
    return 8 * int(encode(strips)[1].sum(dtype=np.int64))


def expected_bytes(zeros: float, strips: int, entries: int) -> float:
    """Bytes that strips take when each entry is 0 with probability `zeros`, their lengths
    included."""
    if zeros >= 1:
        return LENGTH_BYTES * strips
    levels = (1 - zeros) * entries
    pairs = levels / (1 - zeros ** (MOST_RUN + 1))  # with the pairs that continue a run
    some = 1 - zeros**entries
    # The last word is on average short of a pair.
    return strips * (8 * min(slot_words(entries), (pairs + some) / PAIRS) + LENGTH_BYTES)


def entropy_bits(zeros: float) -> float:
    """Bits an entry takes at least where zeros come independently with this share and levels
    take 16 bits."""
    if not 0 < zeros < 1:
        return LEVEL_BITS * (1 - zeros)
    return LEVEL_BITS * (1 - zeros) - zeros * np.log2(zeros) - (1 - zeros) * np.log2(1 - zeros)
