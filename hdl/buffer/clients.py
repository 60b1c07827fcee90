"""Who reads and writes the global buffer."""

from amaranth.lib import wiring

from hdl.buffer.words import PROMPT_READ_SIGNATURE, READ_SIGNATURE
from hdl.config import Config

# By falling priority; the last two readers and the last writer only with a sparse engine.
READERS = ("psum", "ifmap", "store", "filter", "scale", "fill", "table")
WRITERS = ("ofmap", "load", "dump")
PROMPT = ("scale",)  # readers that take every word as it comes


def read_signature(client: str) -> wiring.Signature:
    """What a reader reads through."""
    return PROMPT_READ_SIGNATURE if client in PROMPT else READ_SIGNATURE


def readers(config: Config) -> tuple[str, ...]:
    return READERS if config.sparse_pes else READERS[:-2]


def writers(config: Config) -> tuple[str, ...]:
    return WRITERS if config.sparse_pes else WRITERS[:-1]
