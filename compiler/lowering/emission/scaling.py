"""What STORE's scaling does for a layer: fields of SHAPE."""

from __future__ import annotations

from dataclasses import dataclass, field

from compiler.layers import Add, IntAdd, IntPool, Layer, Rescale
from compiler.quantise.fixed_point import QuantisedGraph
from compiler.quantise.integer_run import affine_of
from golden.integer.requantise import Requantiser
from hdl.isa import Rounding

UNIT = dict(multiplier=1 << 30, shift=1, rounding=Rounding.SINGLE)  # sums as they are


@dataclass(frozen=True)
class Scaling:
    """fields: of SHAPE, beside those of a pool; scaled: of STORE; raw: in the buffer entries are q,
    not q - zero."""

    fields: dict[str, int] = field(default_factory=dict)
    scaled: bool = False
    raw: bool = False


def scaling_of(network: QuantisedGraph, layer: Layer) -> Scaling:
    """That of a layer which the store engine does alone."""
    match layer:
        case IntAdd():
            operands = dict(
                multiplier_a=layer.of_a.multiplier,
                shift_a=layer.of_a.shift,
                multiplier_b=layer.of_b.multiplier,
                shift_b=layer.of_b.shift,
            )
            return Scaling(operands | _requantised(layer.out), scaled=True)
        case Rescale():
            return Scaling(_requantised(layer.out), scaled=True)
        case IntPool(kind="average"):
            # Halves are rounded by the sign of sums of q; SHAPE of a pool has the reciprocal.
            bounds = dict(rounding=Rounding.AWAY, lo=layer.lo, hi=layer.hi)
            return Scaling(bounds, scaled=True, raw=True)
        case IntPool():
            zero = affine_of(network.graph, layer.output).zero
            return Scaling(UNIT | dict(lo=layer.lo - zero, hi=layer.hi - zero), scaled=True)
        case Add():
            add = network.adds[layer.name]
            return Scaling(
                dict(
                    multiplier_a=1 << 11 + add.shift_a,
                    multiplier_b=1 << 11 + add.shift_b,
                    multiplier=1 << 30,
                    shift=1 - add.shift_out,
                    rounding=Rounding.SINGLE,
                )
            )
        case _:
            return Scaling()


def _requantised(out: Requantiser) -> dict[str, int]:
    """Of a multiplier for all channels, to v = q - zero."""
    return dict(
        multiplier=int(out.multiplier),
        shift=int(out.shift),
        rounding=Rounding[out.rounding.upper()],
        lo=out.lo - out.zero,
        hi=out.hi - out.zero,
    )
