"""Parsers whose errors are one line, and the values that options take."""

from __future__ import annotations

import argparse
from typing import Any, NoReturn

TOOL = "eyrie"


class Parser(argparse.ArgumentParser):
    """Says what is wrong in one line, with the command that explains it, and exits with 2. Words
    that are no option are said before values that are wrong."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{TOOL}: error: {message}; see `{self.prog} --help`\n")

    def parse_known_args(  # pyright: ignore[reportIncompatibleMethodOverride]
        self, args: Any = None, namespace: Any = None
    ) -> Any:
        """Parses all of `args`: nothing is left to an outer parser, which does not know what a
        command takes."""
        if args is not None and self.get_default("function"):
            unknown = [word for word in args if word.startswith("--") and not self._known(word)]
            if unknown:
                self.error(f"unrecognized arguments: {' '.join(unknown)}")
        namespace, left = super().parse_known_args(args, namespace)
        if left:
            self.error(f"unrecognized arguments: {' '.join(left)}")
        return namespace, left

    def _known(self, word: str) -> bool:
        """A long option, whole or the start of one, with a value or without; or `--` itself."""
        name = word.partition("=")[0]
        return any(option.startswith(name) for option in self._option_string_actions)


def _at_least(least: int, text: str) -> int:
    try:
        value = int(text)
    except ValueError:
        value = least - 1
    if value < least:
        raise argparse.ArgumentTypeError(f"{text}: must be a whole number, {least} or more")
    return value


def count(text: str) -> int:
    """0 or more."""
    return _at_least(0, text)


def positive(text: str) -> int:
    """1 or more."""
    return _at_least(1, text)


def address(text: str) -> int:
    """Decimal, or with 0x hexadecimal."""
    try:
        return int(text, 0)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text}: must be a number, as 0x40000000") from None


def switch(text: str) -> tuple[str, bool | None]:
    """A layer and whether it runs compressed; None: by its density."""
    layer, _, value = text.rpartition("=")
    values = {"on": True, "off": False, "auto": None}
    if not layer or value not in values:
        raise argparse.ArgumentTypeError(f"{text}: expected LAYER=on, LAYER=off or LAYER=auto")
    return layer, values[value]
