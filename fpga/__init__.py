"""Boards: the accelerator behind a serial line, and the host that drives it."""
