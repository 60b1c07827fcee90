"""Unbounded proofs of the parts in hdl/lib: see docs/formal.md."""
