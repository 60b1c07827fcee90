"""Tables on a terminal, as every command prints them."""

from __future__ import annotations

from rich import box
from rich.table import Table


def new_table(title: str, left: tuple[str, ...], *names: str) -> Table:
    """A table without rows, whose columns in `left` are aligned there, the others to the right."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, title=title, title_justify="left")
    for name in names:
        table.add_column(name, justify="left" if name in left else "right", no_wrap=True)
    return table
