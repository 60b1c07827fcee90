"""Operators of int8 networks, bit-exact to LiteRT's reference kernels (docs/quantised.md)."""
