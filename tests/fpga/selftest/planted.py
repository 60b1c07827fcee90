"""Faults planted in emitted Verilog, each of which a plusarg of the simulator turns on: one build
for a sound board and for all of the broken ones."""

import re

from hdl.isa import Pool

# name: (module, output, bits of it that are stuck at 1, an input of the module while it is high)
FAULTS = {
    "register": ("plain_registers", "watchdog", 1 << 7, ""),
    "psum": ("select_adder", "total", 1 << 4, ""),
    "average": ("result_scaler", "out__payload", 1 << 2, f"pool == {int(Pool.AVERAGE)}"),
    "addition": ("add_operands", "out__payload", 1 << 8, ""),
    "decoder": ("rlc_decoder", "out__payload", 1 << 3, ""),
    "sparse": ("sparse_mac", "accumulator", 1 << 20, ""),
}


def plant(text: str) -> str:
    """Verilog with all FAULTS."""
    for name, fault in FAULTS.items():
        text = _plant(text, name, *fault)
    return text


def _plant(text: str, name: str, module: str, output: str, mask: int, when: str) -> str:
    """The module becomes one around the sound one."""
    start = re.search(rf"(?m)^module {module}\(.*?\);\n", text)
    assert start, module
    body = text[start.end() : text.index("\nendmodule", start.end())]
    ports = re.findall(r"(?m)^  (input|output) (\[\d+:0\] )?(\S+) ?;", body)
    assert output in [port for _, _, port in ports], output
    width = next(span for _, span, port in ports if port == output)
    joined = [f".{port} ({'sound' if port == output else port} )" for _, _, port in ports]
    on = f"planted && {when}" if when else "planted"
    around = [
        start.group(),
        *(f"  {way} {span}{port} ;\n" for way, span, port in ports),
        f"  wire {width}sound;\n  reg planted = 0;\n",
        f'  initial planted = $test$plusargs("{name}");\n',
        f"  assign {output} = sound | ({on} ? {mask} : 0);\n",
        f"  {module}_sound core ({', '.join(joined)});\n",
        "endmodule\n\n",
    ]
    sound = start.group().replace(module, f"{module}_sound", 1)
    return text[: start.start()] + "".join(around) + sound + text[start.end() :]
