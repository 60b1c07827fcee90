"""What bitstream scripts select, in the language of Yosys's `select`, by the marks of
hdl/lib/marks.py."""

from hdl.lib.marks import MATCH

# Of which flip-flops few with one enable or reset lose it (FEW in fpga/flow/tools.py): of all, or
# not of those that hold whether a bus's word is a PE's (`matching` in hdl/array/pe/pe.py), whose
# enable is the row's agreement, the latest of all, and which PEs share it.
MATCHES = f"a:{MATCH} %ci1:+[Q] a:{MATCH} %d"
ALL, BUT_MATCHES = "*", f"{MATCHES} %n"
