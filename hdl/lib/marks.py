"""Attributes by which the scripts of a bitstream select cells, whatever signals are called.

They travel with Amaranth's RTLIL; emitted Verilog does not have them (hdl/emit/verilog.py).
"""

from amaranth.hdl import Module, Signal

PREFIX = "eyrie_"
PE = f"{PREFIX}pe"  # a wire of every PE's module, of either array
MATCH = f"{PREFIX}match"  # flip-flops that hold whether a word of MATCHED is a PE's
FILTERS = f"{PREFIX}filters"  # a PE's block RAM of filters: the PE's place in the chain
MULTIPLIER = f"{PREFIX}multiplier"  # a PE's: place in the chain * lanes + its own lane
# Not of the psums': all that was routed was without, and whether it matters has not been measured.
MATCHED = ("ifmap", "filter")
MARKS = (PE, MATCH, FILTERS, MULTIPLIER)


def mark_module(m: Module, platform: object, name: str) -> None:
    """Gives a module, which has no attributes in Amaranth, a wire that has one; not without a
    platform. As the last statement it leaves the names of all others as they are."""
    if platform is not None:
        m.d.comb += Signal(name=name, attrs={name: 1}).eq(1)


def on_instance(marks: dict[str, int]) -> dict[str, int]:
    """The arguments of an Instance with these attributes."""
    return {f"a_{name}": value for name, value in marks.items()}
