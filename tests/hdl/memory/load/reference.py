"""What LOAD writes, read off the docstring of LoadBody."""


def narrow(zero, unsigned=0):
    """Fields of a LOAD of 8-bit strips."""
    return dict(narrow=1, unsigned=unsigned, zero=zero)


def loaded(command, word):
    """The 64-bit words that eight bytes of a strip become."""
    if not command.get("narrow"):
        return [int.from_bytes(word, "little")]
    entries = b""
    for byte in word:
        q = byte if command["unsigned"] or byte < 128 else byte - 256
        entries += (q - command["zero"]).to_bytes(2, "little", signed=True)
    return [int.from_bytes(entries[at : at + 8], "little") for at in (0, 8)]


def written(item):
    """[(word, data)] of a write of the global buffer, of whole words."""
    halves = [half for half in (0, 1) if item.mask >> 4 * half & 15]
    assert item.mask == sum(15 << 4 * half for half in halves), hex(item.mask)
    assert item.word % 2 == 0 and halves
    return [(item.word + half, item.data >> 64 * half & (1 << 64) - 1) for half in halves]
