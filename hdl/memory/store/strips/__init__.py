"""The strips of a STORE."""

from hdl.memory.store.strips.walker import StripWalker as StripWalker
