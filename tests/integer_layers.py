"""Random int8 layers, drawn by stratum, and small networks of them."""

import dataclasses

import numpy as np

from compiler.graph import Graph, NetworkError, Tensor
from compiler.layers import IntAdd, IntConv, IntPad, IntPool, Rescale
from compiler.quantise.integer_graph import integer_network
from golden.geometry import output_size
from golden.integer.add import POINT, Operand
from golden.integer.affine import Affine
from golden.integer.requantise import AWAY, DOUBLE, SINGLE, Requantiser, quantise_multiplier
from tests.layers import STRATA, Draw

# What follows the convolution.
AFTER = ("nothing", "max pool", "add", "pad", "average", "rescale")


class IntegerDraw(Draw):
    """Draws scales, zero points and layers."""

    def affine(self):
        signed = self.rng.random() < 0.75
        low, high = (-128, 127) if signed else (0, 255)
        zero = int(self.rng.choice([low, high, self.rng.integers(low, high + 1)]))
        return Affine(float(np.float32(2.0 ** self.rng.uniform(-8, 2))), zero, signed)

    def requantiser(self, affine, sizes, rounding):
        """Multipliers that bring sums of such sizes, one a channel, to the range of q, but for
        some from 2**-20 to left shifts; bounds as of an activation function, or none."""
        about = np.log2(127 / np.maximum(sizes, 1)) + self.rng.uniform(-2, 2, len(sizes))
        wild = self.rng.random(len(sizes)) < 0.2
        exponents = np.where(wild, self.rng.uniform(-20, 6, len(sizes)), about)
        pairs = [quantise_multiplier(2.0**e) for e in exponents]
        multiplier, shift = (np.array(column, np.int64) for column in zip(*pairs, strict=True))
        lo, hi = self.bounds(affine)
        return Requantiser(multiplier, shift, rounding, affine.zero, lo, hi)

    def single(self, affine, size, most=30):
        """The same for all channels, with a shift of at most `most`."""
        out = self.requantiser(affine, np.full(1, size), DOUBLE)
        shift = np.minimum(out.shift[0], most)
        return dataclasses.replace(out, multiplier=out.multiplier[0], shift=shift)

    def bounds(self, affine):
        lo = affine.zero if self.rng.random() < 0.4 else affine.lo
        hi = int(self.rng.integers(lo, affine.hi + 1)) if self.rng.random() < 0.2 else affine.hi
        return lo, hi

    def conv(self, name, shape, source, target, affine):
        """An IntConv of a shape, from a tensor to another."""
        rng, unsigned = self.rng, not affine.signed
        low, high = (-255, 256) if unsigned and rng.random() < 0.5 else (-128, 128)
        weights = rng.integers(low, high, shape.filter_shape).astype(np.int16)
        if rng.random() < 0.2:
            weights[:] = rng.choice([low, high - 1], weights.shape)
        sums = np.sqrt(np.square(weights.astype(float)).reshape(shape.M, -1).sum(1)) * 70
        bias = (rng.normal(0, 1, shape.M) * sums).astype(np.int32)
        for channel in np.flatnonzero(rng.random(shape.M) < 0.1):
            bias[channel] = rng.integers(-(2**30), 2**30 + 1)
        rounding = (DOUBLE, SINGLE, AWAY)[int(rng.integers(0, 3))]
        out = self.requantiser(self.out_affine, sums, rounding)
        stride = shape.uy, shape.ux
        return IntConv(
            name, source, target, weights, bias, stride, shape.pads, shape.groups, out=out
        )

    def operand(self, share):
        return Operand(*quantise_multiplier(share))

    def network(self, shape, after):
        """in -> conv -> after -> out."""
        rng, tensors, layers = self.rng, {}, []
        inner, self.out_affine = self.affine(), self.affine()

        def tensor(name, channels, height, width, affine):
            tensors[name] = Tensor(name, channels, height, width, affine=affine)
            return name

        tensor("in", shape.C, shape.H, shape.W, inner)
        made = tensor("conv", shape.M, *shape.out, self.out_affine)
        layers.append(self.conv("layer", shape, "in", made, inner))
        size = shape.out
        match after:
            case "max pool" | "average":
                kind = after.split()[0]
                kernel = tuple(int(min(n, k)) for n, k in zip(size, rng.integers(1, 4, 2)))
                stride = tuple(rng.integers(1, 3, 2).tolist())
                pads = tuple(int(rng.integers(0, k)) for k in (*kernel, *kernel))
                small = output_size(size, kernel, stride, pads)
                lo, hi = self.bounds(self.out_affine)
                tensor("out", shape.M, *small, self.out_affine)
                whole = (0, 0, *size)
                names = "pool", kind, made, "out"
                layers.append(IntPool(*names, kernel, stride, pads, whole, lo=lo, hi=hi))
            case "add":
                again, affine = tensor("again", shape.M, *size, self.out_affine), self.affine()
                layers.append(self.conv("second", shape, "in", again, inner))
                scales = 2.0 ** rng.uniform(-4, 4, 2)
                twice = 2 * scales.max()
                out = self.requantiser(affine, np.full(1, 1 << POINT + 7), DOUBLE)
                out = Requantiser(
                    out.multiplier[0], min(out.shift[0], 0), DOUBLE, affine.zero, out.lo, out.hi
                )
                operands = [self.operand(s / twice) for s in scales]
                tensor("out", shape.M, *size, affine)
                of_a, of_b = operands
                layers.append(IntAdd("add", made, again, "out", of_a=of_a, of_b=of_b, out=out))
            case "pad":
                pads = tuple(rng.integers(0, 3, 4).tolist())
                tensor(
                    "out",
                    shape.M,
                    size[0] + pads[0] + pads[2],
                    size[1] + pads[1] + pads[3],
                    self.out_affine,
                )
                layers.append(IntPad("pad", made, "out", pads))
            case "rescale":
                affine = self.affine()
                tensor("out", shape.M, *size, affine)
                out = self.requantiser(affine, np.full(1, 100), DOUBLE)
                out = Requantiser(
                    out.multiplier[0], out.shift[0], DOUBLE, affine.zero, out.lo, out.hi
                )
                layers.append(Rescale("rescale", made, "out", out))
            case _:
                layers[0].output = tensor("out", shape.M, *size, self.out_affine)
                del tensors["conv"]
        graph = Graph("in", "out", layers, tensors)
        graph.check()
        return graph

    def images(self, shape, affine):
        """q of images: random, of the ends, or all at the zero point."""
        of_images, dtype = (shape.N, shape.C, shape.H, shape.W), affine.dtype
        q = self.rng.integers(affine.lo, affine.hi + 1, of_images)
        kind = self.rng.integers(0, 6)
        if kind == 0:
            q = self.rng.choice([affine.lo, affine.hi], of_images)
        elif kind == 1:
            q = np.full(of_images, affine.zero)
        return q.astype(dtype)


def draw_integer(seed: int, psum_bits: int = 32):
    """(what it is, Graph, QuantisedGraph, q of images) of one random layer and what follows it."""
    random, stratum = IntegerDraw(seed), STRATA[seed % len(STRATA)]
    after = AFTER[seed // 2 % len(AFTER)]
    while True:
        shape = random.legal(stratum)
        if shape.M * shape.C > 1 << 14:
            continue
        graph = random.network(shape, after)
        try:
            network = integer_network(graph, psum_bits)
        except NetworkError:  # its sums have too many bits
            continue
        images = random.images(shape, graph.tensors["in"].affine)
        return f"{stratum}, {after}", graph, network, images
