"""Reads the program, checks its commands, dispatches them; executes CONFIG."""

from amaranth.hdl import Module
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from hdl.config import Config
from hdl.control.fetch.checker import Checker
from hdl.control.fetch.command_register import CommandRegister
from hdl.control.fetch.dispatcher import Dispatcher
from hdl.control.fetch.program_reader import ProgramReader
from hdl.control.words import engines, queued
from hdl.isa import INDEX, ConfigBody, Error
from hdl.lib.axi import ADDRESS, ReadMaster


class Fetch(wiring.Component):
    """Fetches `count` commands from `program` at `start`, in order, up to
    config.fetch_ahead ahead.

    Members: `start`, `program`, `count`; `base` and `limit`, the read window; `read`, an AXI read
    master (bursts of 8); `load`, `ifmap`, `filter`, `psum`, `ofmap`, `store`: queue streams of the
    Issues (StoreCommand holds STORE or SHAPE); `config`, stream of ConfigBody, offered once
    `drained` (the four PE engines are idle), the next command follows its transfer, unless
    `config_refused` comes with it; `halt`: nothing more is dispatched; `index`, of the next command
    to be dispatched; `busy`, until the last is; `error`, held until reset, of command `index`:
    READ_WINDOW, READ_RESPONSE, VERSION or ILLEGAL_COMMAND.

    Addresses and indices have as many bits as the configuration's memory needs. A command is
    offered six cycles after its last word was read; throughput one in 12 cycles: eight beats, one
    to look, two to check, one to dispatch, and as it leaves the next one's first beat comes.
    """

    def __init__(self, config: Config):
        self.build = config
        super().__init__(
            {
                "start": In(1),
                "program": In(ADDRESS),
                "count": In(32),
                "base": In(ADDRESS),
                "limit": In(ADDRESS),
                "read": Out(ReadMaster),
                **{
                    name: Out(stream.Signature(queued(body)))
                    for name, body in engines(config).items()
                },
                "config": Out(stream.Signature(ConfigBody)),
                "drained": In(1),
                "config_refused": In(1),
                "halt": In(1),
                "index": Out(INDEX),
                "busy": Out(1),
                "error": Out(Error),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.reader = reader = ProgramReader(self.build)
        m.submodules.register = register = CommandRegister()
        m.submodules.checker = checker = Checker(self.build)
        m.submodules.dispatcher = dispatcher = Dispatcher(self.build)

        # from memory to the register
        wiring.connect(m, reader.read, wiring.flipped(self.read))
        wiring.connect(m, reader.beats, register.beats)
        m.d.comb += [
            getattr(reader, name).eq(getattr(self, name))
            for name in ("start", "program", "count", "base", "limit")
        ]

        # from the register to the queues
        m.d.comb += [
            checker.command.eq(register.command),
            checker.some.eq(register.some),
            checker.bad.eq(register.bad),
            dispatcher.full.eq(register.full),
            dispatcher.command.eq(register.command),
            dispatcher.known.eq(checker.known),
            dispatcher.wrong.eq(checker.error),
            dispatcher.index.eq(reader.left),
            dispatcher.outside.eq(reader.outside),
            register.leave.eq(dispatcher.leave),
            reader.leave.eq(dispatcher.leave),
        ]
        for name in ("config", *engines(self.build)):
            wiring.connect(m, getattr(dispatcher, name), wiring.flipped(getattr(self, name)))

        # from and to the registers of the machine
        m.d.comb += [
            dispatcher.drained.eq(self.drained),
            dispatcher.config_refused.eq(self.config_refused),
            dispatcher.halt.eq(self.halt),
            self.index.eq(reader.left),
            self.busy.eq(reader.busy),
            self.error.eq(dispatcher.error),
        ]
        return m
