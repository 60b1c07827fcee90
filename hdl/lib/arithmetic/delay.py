"""What goes along with a value through a pipeline."""

from amaranth.hdl import Module, Signal, Value, ValueLike


def after(m: Module, enable: ValueLike, stages: int, value: Value, name: str) -> Value:
    """The value `stages` enabled cycles later. Its registers have no reset."""
    for n in range(stages):
        later = Signal(value.shape(), name=f"{name}_{n}", reset_less=True)
        with m.If(enable):
            m.d.sync += later.eq(value)
        value = later
    return value
