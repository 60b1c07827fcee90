"""Who reads and writes the global buffer."""

from hdl.config import Config

# By falling priority; the last two readers and the last writer only with a sparse engine.
READERS = ("psum", "ifmap", "store", "filter", "scale", "fill", "table")
WRITERS = ("ofmap", "load", "dump")


def readers(config: Config) -> tuple[str, ...]:
    return READERS if config.sparse_pes else READERS[:-2]


def writers(config: Config) -> tuple[str, ...]:
    return WRITERS if config.sparse_pes else WRITERS[:-1]
