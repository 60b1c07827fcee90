"""What a compilation is asked for."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from compiler.mapping.mapper import Mapper
from hdl.isa import Mode

MOST_DENSE = 0.5  # a denser layer is hardly smaller compressed: an entry costs half a word


@dataclass(frozen=True)
class Options:
    """Options of `compile_network`.

    images      of a run, 1..255
    base        first byte address used
    mode        what zero activations do: nothing, hold the multiplier, cost no MAC
    chained     one program for all layers, ordered by tokens, instead of a start per layer
    fuse        pools into convolutions where the buffer allows
    reorder     give a convolution its own copy of its input, in blocks that suit it, where that
                pays for the copy
    compress    fully connected layers of shared weights go to the sparse engine up to this
                density; below 0: none
    placement   of their rows on its PEs (compiler.sparse.csc.PLACEMENTS)
    switches    layers, by name, that go there at any density (True), never (False), or as the
                others (None)
    rlc         tensors run-length coded in memory (compiler/lowering/structures/coded.py): "on" all
                that can be, "auto" those of them that get smaller, "off" none
    zeros       tensor -> share of zeros; None: those of the calibration
    dense       tensors that are not to be coded
    mapper      of this configuration; None: one for the fewest cycles
    """

    images: int = 1
    base: int = 0
    mode: Mode = Mode.GATE
    chained: bool = False
    fuse: bool = True
    reorder: bool = True
    compress: float = MOST_DENSE
    placement: str = "balanced"
    switches: Mapping[str, bool | None] = field(default_factory=dict)
    rlc: str = "auto"
    zeros: Mapping[str, float] | None = None
    dense: Collection[str] = ()
    mapper: Mapper | None = None
