"""A bitstream onto a board."""

import shlex
import shutil
import subprocess

from fpga.boards import Board
from fpga.flow.build import artifact
from fpga.flow.tools import ToolError
from hdl.emit.files import BUILD


def flash(board: Board, persist: bool = False) -> None:
    """Runs the board's loader. Raises ToolError, one line that says what to build, install or
    plug in."""
    bitstream = artifact(board)
    if not bitstream.exists():
        raise ToolError(f"{board.name} has no bitstream yet: make fpga BOARD={board.name}")
    command = shlex.split(
        (board.persist if persist else board.loader).replace("{bitstream}", bitstream.name)
    )
    if not shutil.which(command[0]):
        raise ToolError(
            f"{command[0]} is missing, which loads {board.name}: on Debian, apt install "
            f"{board.package}"
        )
    done = subprocess.run(command, cwd=bitstream.parent, capture_output=True, text=True)
    if done.returncode:
        said = (done.stdout + done.stderr).strip().splitlines() or ["nothing"]
        raise ToolError(
            f"{command[0]} cannot reach {board.name}: plug in its USB cable, and allow this user "
            "to use "
            f"it; it says: {said[-1]}"
        )
    print(
        f"{board.name} is loaded with {bitstream.relative_to(BUILD.parent)}; its serial line: "
        f"{board.link}"
    )
