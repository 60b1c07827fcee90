"""A whole board under Verilator, on a pseudo-terminal."""
