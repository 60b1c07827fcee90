"""Which command it is, and whether it may be executed."""

from amaranth.hdl import Cat, Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hdl.config import Config
from hdl.control.fetch.body_checker import BodyChecker
from hdl.control.words import BEATS, Command, opcodes
from hdl.isa import VERSION_VALUE, Error


class Checker(wiring.Component):
    """What is wrong with a command that was read.

    Members, stable for two cycles: `command`; `some`, of each beat whether a bit of it is set;
    `bad`, an answer for it was an error. `known[i]`, it is of opcode i of `opcodes`, a cycle later;
    `error`, NONE or the code of what is wrong, two cycles later: READ_RESPONSE, else VERSION, else
    ILLEGAL_COMMAND. Both are registers.
    """

    def __init__(self, config: Config):
        self.config = config
        super().__init__(
            {
                "command": In(Command),
                "some": In(BEATS),
                "bad": In(1),
                "known": Out(len(opcodes(config))),
                "error": Out(Error),
            }
        )

    def elaborate(self, platform):
        m = Module()
        bodies = []
        for opcode in opcodes(self.config):
            body = BodyChecker(self.config, opcode)
            m.submodules[opcode.name.lower()] = body
            m.d.comb += [body.command.eq(self.command), body.some.eq(self.some)]
            bodies.append(body)
        m.d.comb += self.known.eq(Cat(body.is_opcode for body in bodies))

        m.d.sync += self.error.eq(Error.NONE)
        with m.If(self.bad):
            m.d.sync += self.error.eq(Error.READ_RESPONSE)
        with m.Elif(self.command.header.version != VERSION_VALUE):
            m.d.sync += self.error.eq(Error.VERSION)
        with m.Elif(~Cat(body.ok for body in bodies).any()):
            m.d.sync += self.error.eq(Error.ILLEGAL_COMMAND)
        return m
