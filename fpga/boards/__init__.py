"""Boards that bitstreams are built for, one family a file. What a board is: `Board`."""

from . import ecpix5, icebreaker, orangecrab, tang, ulx3s
from .board import Board

BOARDS: dict[str, Board] = {
    board.name: board
    for family in (ulx3s, orangecrab, ecpix5, icebreaker, tang)
    for board in family.BOARDS
}
