"""Addresses of tensors in memory."""

from __future__ import annotations

from compiler.lowering.structures.state import Allocated, Coded, extend
from compiler.numbers import ceil

ALIGN = 4096  # of every region in memory


def allocate(state: Coded) -> Allocated:
    """One after the other from the base on, in the order of their views."""
    at = state.options.base
    for storage in {id(view.storage): view.storage for view in state.views.values()}.values():
        storage.address = at
        at += ceil(storage.image_bytes * state.images, ALIGN) * ALIGN
    return extend(Allocated, state, constant=at)
