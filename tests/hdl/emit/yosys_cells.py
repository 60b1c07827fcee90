"""Yosys's own models of an iCE40's cells."""

from hdl.emit import yosys


def ice40_cell(name: str) -> str:
    """The Verilog module of one cell, as of an UltraPlus."""
    text = (yosys.share() / "ice40" / "cells_sim.v").read_text()
    begin = text.index(f"module {name}")
    return "`define ICE40_U\n" + text[begin : text.index("endmodule", begin)] + "endmodule\n"
