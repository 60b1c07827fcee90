"""The SDRAM model of the simulated board (fpga/simulation/sdram_model.h), for Amaranth's
simulator."""

import ctypes
import functools
import subprocess

from fpga.simulation.board import HERE, model_times
from sim.build import _cached, _key, _tools, sources

FIELDS = ("cke", "cs_n", "ras_n", "cas_n", "we_n", "ba", "a", "dqm", "dq_o", "dq_oe")


class Times(ctypes.Structure):
    _fields_ = (
        [("row_bits", ctypes.c_int), ("column_bits", ctypes.c_int)]
        + [(n, ctypes.c_double) for n in ("period", "rcd", "rp", "ras", "rc", "rrd", "rfc", "wr")]
        + [
            ("mrd", ctypes.c_int),
            ("refresh", ctypes.c_double),
            ("init", ctypes.c_double),
            ("fastest2", ctypes.c_double),
        ]
    )


class Pins(ctypes.Structure):
    _fields_ = [(n, ctypes.c_int) for n in FIELDS]


@functools.cache
def library():
    model = HERE / "sdram_model.cpp"
    command = ["g++", "-std=c++20", "-O2", "-shared", "-fPIC", "-o"]

    def make(work):
        subprocess.run([*command, work / "model.so", model], check=True)

    key = _key(["sdram model", *command, *_tools(), *sources(model)])
    lib = ctypes.CDLL(str(_cached(key, make) / "model.so"))
    lib.sdram_new.restype = ctypes.c_void_p
    lib.sdram_clock.restype = ctypes.c_char_p
    lib.sdram_clock.argtypes = [
        ctypes.c_void_p,
        ctypes.POINTER(Pins),
        ctypes.POINTER(ctypes.c_uint16),
    ]
    lib.sdram_delete.argtypes = [ctypes.c_void_p]
    return lib


class Model:
    """A part at a clock. clock(pins...) -> (violation or None, dq)."""

    def __init__(self, part, clock_hz):
        self.lib = library()
        self.model = self.lib.sdram_new(ctypes.byref(Times(*model_times(part, clock_hz))))

    def clock(self, **pins):
        dq = ctypes.c_uint16()
        what = self.lib.sdram_clock(self.model, ctypes.byref(Pins(**pins)), ctypes.byref(dq))
        return (what.decode() if what else None), dq.value

    def __del__(self):
        self.lib.sdram_delete(self.model)
