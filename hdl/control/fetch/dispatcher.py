"""Hands checked commands to the queues of their engines."""

import functools
import operator

from amaranth.hdl import Cat, Module, Mux, Signal, Value
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from hdl.config import Config
from hdl.control.words import KINDS, Command, engine_of, engines, opcodes, queued
from hdl.isa import INDEX, ConfigBody, Error


class Dispatcher(wiring.Component):
    """Waits for a command, for its check, and for the queue that it goes to.

    Members: `full`, a command is there: `command`; of it, from a cycle later on `known` and from
    two cycles later on `wrong` (Checker); `index`, its place in the program; `leave`, a pulse: it
    has gone, in the cycle before; an out stream of `queued` for each engine; `config`, stream of
    ConfigBody, offered once `drained`, whose transfer `config_refused` makes an error; `halt`,
    nothing more is dispatched; `outside`, no command will come any more; `error`, held until reset.

    A command is offered three cycles after it is there and leaves a cycle after it is taken. No
    output depends on an input in the same cycle but the payloads on `command`, `known` and `index`.
    """

    def __init__(self, config: Config):
        self.build = config
        super().__init__(
            {
                "full": In(1),
                "command": In(Command),
                "known": In(len(opcodes(config))),
                "wrong": In(Error),
                "index": In(INDEX),
                "leave": Out(1),
                **{
                    name: Out(stream.Signature(queued(body)))
                    for name, body in engines(config).items()
                },
                "config": Out(stream.Signature(ConfigBody)),
                "drained": In(1),
                "config_refused": In(1),
                "halt": In(1),
                "outside": In(1),
                "error": Out(Error),
            }
        )

    def elaborate(self, platform):
        m = Module()
        header, body = self.command.header, self.command.body
        known = dict(zip(opcodes(self.build), self.known))
        offer = Signal()  # to the engine whose opcode it is
        taken = Signal(len(engines(self.build)))
        to = {name: Signal(name=f"to_{name}") for name in ("config", *engines(self.build))}
        for name, this in to.items():
            mine = [engine_of(opcode) == name for opcode in opcodes(self.build)]
            m.d.sync += this.eq((self.known & Cat(mine)).any())  # there before it is looked at

        # ---- payloads -------------------------------------------------------------------
        m.d.comb += Value.cast(self.config.payload).eq(body)
        for n, name in enumerate(engines(self.build)):
            queue = getattr(self, name)
            item = queue.p
            inner = item.body
            if name in KINDS:
                field, kinds = KINDS[name]
                kind = [Mux(known[opcode], n, 0) for n, opcode in enumerate(kinds)]
                m.d.comb += item.body[field].eq(functools.reduce(operator.or_, kind))
                inner = item.body.body
            m.d.comb += [
                item.wait.eq(header.wait),
                item.signal.eq(header.signal),
                item.index.eq(self.index),
                Value.cast(inner).eq(body),
                queue.valid.eq(offer & to[name]),
                taken[n].eq(queue.valid & queue.ready),
            ]

        # ---- the way of a command -------------------------------------------------------
        with m.FSM():
            with m.State("Collect"):
                with m.If(self.full):
                    m.next = "Look"
                with m.Elif(self.outside):
                    m.d.sync += self.error.eq(Error.READ_WINDOW)
                    m.next = "Stopped"
            with m.State("Look"):
                m.next = "Check"
            with m.State("Check"):
                with m.If(self.wrong != Error.NONE):
                    m.d.sync += self.error.eq(self.wrong)
                    m.next = "Stopped"
                with m.Elif(~self.halt):
                    m.next = "Dispatch"
            with m.State("Dispatch"):
                m.d.comb += offer.eq(1)
                with m.If(taken.any()):
                    m.next = "Leave"
                with m.Elif(to["config"] & self.drained):
                    m.next = "Configure"
            with m.State("Configure"):
                m.d.comb += self.config.valid.eq(1)
                with m.If(self.config.ready & ~self.config_refused):
                    m.next = "Leave"
                with m.Elif(self.config.ready):
                    m.d.sync += self.error.eq(Error.ILLEGAL_COMMAND)
                    m.next = "Stopped"
            with m.State("Leave"):
                m.d.comb += self.leave.eq(1)
                m.next = "Collect"
            with m.State("Stopped"):
                pass
        return m
