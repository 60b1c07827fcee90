"""Tests of the configuration in the source of hardware: what Python decides as it is built.

What counts
-----------
A choice counts if Python makes it (`with m.If(...)` and `m.Switch` are hardware) and if it depends
on what is known when the component is built: a parameter of `__init__`, an attribute set from one
(`self.config.rlc`, `self.lanes`), the platform, a helper's parameter that is a config, is a number
or `bool` or has a plain default, or is given one of these by a call in its module. A local name
that is assigned from one of these counts as they do, and so does one assigned below such a choice.

    if, elif, while       one each; one more for every further such operand of its `and` and `or`
    ternary               as `if`
    match                 one, whatever the number of cases; its guards as `if`
    comprehension         its conditions as `if`
    and/or                of a value, not of a condition: as the ternary that says the same
    look-up               `{True: a, False: b}[flag]`, `(a, b)[flag]`, `TABLE[flag]`, `x[flag:]`
    arithmetic            a flag as operand: `[x] * flag`, `3 + flag`, `valid & flag`, `range(flag)`
    getattr               of a name that the configuration makes
    domain                `m.d[name]` or `DomainRenamer(name)` with a name that is no constant

A flag is a `bool` by its annotation or default, or a comparison of such values.

Where: every method of a component and every function of its module, nested ones too. A module
counts if it defines a component or a function that takes `m` or a config. Software that writes
Verilog does not: what imports `amaranth.back`, and the folder `hdl/emit`.

What does not count: in `__init__` an `if` that only raises; `assert`; a flag that is passed on, as
in `cut(m, registered, ...)` (the helper's test counts once; `passed` is the number of such
arguments); a test of a loop's place or of a constant alone (`places`), as `if index == 0`. A loop's
variable is its place, unless the loop runs over a display that holds configured values. A
comparison of a place with a configured value does count.

Known limits: the analysis follows names within a module, not objects between modules; what follows
an early `return` is not known to depend on its condition.
"""

from __future__ import annotations

import ast
import builtins
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

PLAIN, PLACE, CONFIG = range(3)
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)
PLAIN_TYPES = {"bool", "int", "float", "Config"}
CONFIG_NAMES = {"config", "platform", "registered"}
ROUNDS = 6  # of following names through assignments and calls, until nothing changes


class Known(NamedTuple):
    """What is known of a value: `pure`, made of nothing but constants, places and configuration."""

    level: int = PLAIN
    pure: bool = False
    flag: bool = False

    def merged(self, other: Known) -> Known:
        level = max(self.level, other.level)
        return Known(level, self.pure and other.pure, self.flag or other.flag)


CONSTANT = Known(PLAIN, True)
HARDWARE = Known()


@dataclass
class Scope:
    """Names of a function or comprehension, and the class whose method it is in."""

    node: ast.AST
    parent: Scope | None = None
    owner: ClassFacts | None = None
    names: dict[str, Known] = field(default_factory=dict)
    open: set[str] = field(default_factory=set)  # parameters whose calls are not yet met

    def find(self, name: str) -> Known | None:
        scope: Scope | None = self
        while scope is not None:
            if name in scope.names:
                return scope.names[name]
            scope = scope.parent
        return None

    def bind(self, name: str, value: Known) -> None:
        old = self.names.get(name)
        self.names[name] = value if old is None else old.merged(value)


@dataclass
class ClassFacts:
    """A class: its attributes set from the configuration."""

    node: ast.ClassDef
    attributes: dict[str, Known] = field(default_factory=dict)


@dataclass
class Choices:
    """Figures of a module. `units`: tests (in all methods, in `elaborate`) by class or ""."""

    tests: int = 0
    registered: int = 0
    passed: int = 0
    places: int = 0
    kinds: Counter[str] = field(default_factory=Counter)
    units: dict[str, tuple[int, int]] = field(default_factory=dict)
    found: list[tuple[int, str]] = field(default_factory=list)  # line, kind


def is_component(node: ast.ClassDef) -> bool:
    """By its bases: `wiring.Component`, `Elaboratable`; or it has an `elaborate`."""
    bases = [getattr(base, "attr", getattr(base, "id", "")) for base in node.bases]
    return any(base.endswith(("Component", "Elaboratable")) for base in bases) or any(
        isinstance(part, FUNCTIONS) and part.name == "elaborate" for part in node.body
    )


def _type(note: ast.expr | None) -> str:
    return "" if note is None else ast.unparse(note).strip("'\"").partition(" | ")[0]


def parameters(function: ast.AST) -> list[tuple[ast.arg, ast.expr | None]]:
    """Every parameter of a function with its default, but for `self` and `cls`."""
    spec = function.args
    places = [*spec.posonlyargs, *spec.args]
    defaults = [None] * (len(places) - len(spec.defaults)) + list(spec.defaults)
    both = [*zip(places, defaults), *zip(spec.kwonlyargs, spec.kw_defaults)]
    return [(arg, default) for arg, default in both if arg.arg not in ("self", "cls")]


def builds_hardware(tree: ast.Module, name: str = "") -> bool:
    """Whether a module's choices count."""
    if name.startswith("hdl.emit"):
        return False
    kinds = False
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("amaranth.back"):
            return False
        if isinstance(node, ast.ClassDef):
            kinds |= is_component(node)
        elif isinstance(node, FUNCTIONS):
            kinds |= any(
                arg.arg in ("m", "config") or _type(arg.annotation) in ("Module", "Config")
                for arg, _ in parameters(node)
            )
    return kinds


def bool_fields(trees: list[ast.Module]) -> set[str]:
    """Names of fields and properties that are `bool` in any class."""
    names = set()
    for tree in trees:
        for node in (n for n in ast.walk(tree) if isinstance(n, ast.ClassDef)):
            for part in node.body:
                if isinstance(part, ast.AnnAssign) and _type(part.annotation) == "bool":
                    names.add(part.target.id)
                elif isinstance(part, FUNCTIONS) and _type(part.returns) == "bool":
                    names.add(part.name)
    return names


def _within(node: ast.AST) -> Iterator[ast.AST]:
    """Nodes below a function, without those of the functions and classes nested in it."""
    for child in ast.iter_child_nodes(node):
        if not isinstance(child, (*FUNCTIONS, ast.ClassDef)):
            yield child
            yield from _within(child)


def _nested(node: ast.AST) -> Iterator[ast.AST]:
    """Functions directly within a function or class, those below its statements too."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, FUNCTIONS):
            yield child
        elif not isinstance(child, ast.ClassDef):
            yield from _nested(child)


def _operands(node: ast.expr) -> list[ast.expr]:
    """What `and`, `or` and `not` join."""
    if isinstance(node, ast.BoolOp):
        return [leaf for value in node.values for leaf in _operands(value)]
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        return _operands(node.operand)
    return [node]


def _only_raises(node: ast.If) -> bool:
    """An `if` below which nothing is done but raising, its `elif` and `else` too."""
    return all(
        isinstance(part, (ast.Raise, ast.Assert, ast.Pass))
        or (isinstance(part, ast.If) and _only_raises(part))
        for part in [*node.body, *node.orelse]
    )


def _is_self(node: ast.AST) -> bool:
    return isinstance(node, ast.Name) and node.id == "self"


def _has_choice(node: ast.AST) -> bool:
    return any(isinstance(part, (ast.IfExp, ast.BoolOp)) for part in ast.walk(node))


class Facts:
    """What a module's names are, by following assignments and calls until nothing changes."""

    def __init__(
        self,
        tree: ast.Module,
        flags: set[str] = frozenset(),
        elsewhere: dict[str, Known] | None = None,
    ):
        self.tree = tree
        self.flags = set(flags)
        self.elsewhere = elsewhere or {}  # attributes that other modules' classes configure
        self.scopes: dict[int, Scope] = {}
        self.classes: list[ClassFacts] = []
        self.functions: dict[str, ast.AST] = {}
        self.records: set[str] = set()  # dataclasses: calling one gives a configuration
        self.tables: set[str] = set()  # names of dict displays
        self.module = Scope(tree)
        self._declare()
        for _ in range(ROUNDS):
            before = self._state()
            for scope in self.scopes.values():
                self._follow(scope)
            if self._state() == before:
                break

    # ---- scopes -----------------------------------------------------------------------------
    def _declare(self) -> None:
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Assign) and isinstance(node.value, ast.Dict):
                names = (target for target in node.targets if isinstance(target, ast.Name))
                self.tables |= {target.id for target in names}
            elif isinstance(node, ast.ClassDef):
                if any("dataclass" in ast.unparse(mark) for mark in node.decorator_list):
                    self.records.add(node.name)
                    self.flags |= bool_fields([ast.Module([node], [])])

        for node in self.tree.body:
            if isinstance(node, ast.ClassDef):
                facts = ClassFacts(node)
                self.classes.append(facts)
                for method in _nested(node):
                    self._scope(method, self.module, facts)
        for function in _nested(self.tree):
            self._scope(function, self.module, None)

    def _scope(self, function: ast.AST, parent: Scope, owner: ClassFacts | None) -> None:
        scope = Scope(function, parent, owner)
        self.scopes[id(function)] = scope
        self.functions.setdefault(function.name, function)
        builds = function.name == "__init__"
        inner = parent is not self.module

        for arg, default in parameters(function):
            kind = _type(arg.annotation)
            constant = isinstance(default, ast.Constant)
            flag = kind == "bool" or (constant and isinstance(default.value, bool))
            plain = kind in PLAIN_TYPES or constant
            given = builds or arg.arg in CONFIG_NAMES or (plain and not inner)
            scope.names[arg.arg] = Known(CONFIG, True, flag) if given else HARDWARE
            if not given and (inner or owner is not None):
                scope.open.add(arg.arg)
        for child in _nested(function):
            self._scope(child, scope, owner)

    def inner(self, node: ast.AST, scope: Scope) -> Scope:
        """The scope of a comprehension or lambda in `scope`."""
        made = Scope(node, scope, scope.owner)
        for loop in getattr(node, "generators", ()):
            self._loop(loop.target, loop.iter, made)
        if isinstance(node, ast.Lambda):
            made.names |= {arg.arg: HARDWARE for arg, _ in parameters(node)}
        return made

    # ---- following --------------------------------------------------------------------------
    def _state(self) -> list[dict[str, Known]]:
        return [dict(scope.names) for scope in self.scopes.values()] + [
            dict(owner.attributes) for owner in self.classes
        ]

    def _follow(self, scope: Scope) -> None:
        self._statements(scope.node.body, scope, False)
        for node in _within(scope.node):
            if isinstance(node, ast.Call):
                self._given(node, scope)

    def _statements(self, body: list[ast.stmt], scope: Scope, below: bool) -> None:
        """`below`: of a choice by configuration, on which these depend too."""
        for node in body:
            if isinstance(node, (*FUNCTIONS, ast.ClassDef)):
                continue
            if isinstance(node, ast.Assign):
                for target in node.targets:
                    self._assign(target, node.value, scope, below)
            elif isinstance(node, (ast.AugAssign, ast.AnnAssign)) and node.value is not None:
                self._assign(node.target, node.value, scope, below)
            elif isinstance(node, ast.For):
                self._loop(node.target, node.iter, scope)
            for part in ast.walk(node) if not hasattr(node, "body") else ():
                if isinstance(part, ast.NamedExpr):
                    self._assign(part.target, part.value, scope, below)

            decides = node.test if isinstance(node, (ast.If, ast.While)) else None
            if isinstance(node, ast.Match):
                decides = node.subject
            chosen = below or (decides is not None and self.of(decides, scope).level == CONFIG)
            for inside in ("body", "orelse", "finalbody"):
                self._statements(getattr(node, inside, []), scope, chosen)
            for case in [*getattr(node, "cases", []), *getattr(node, "handlers", [])]:
                self._statements(case.body, scope, chosen)

    def _assign(self, target: ast.expr, value: ast.expr, scope: Scope, below: bool) -> None:
        if isinstance(target, (ast.Tuple, ast.List)):
            same = isinstance(value, (ast.Tuple, ast.List)) and len(value.elts) == len(target.elts)
            for n, part in enumerate(target.elts):
                self._assign(part, value.elts[n] if same else value, scope, below)
            return
        known = self.of(value, scope)
        if below:
            known = known._replace(level=CONFIG)
        if isinstance(target, ast.Name):
            scope.bind(target.id, known)
        elif isinstance(target, ast.Attribute) and _is_self(target.value):
            if scope.owner is not None and known.level == CONFIG:
                scope.owner.attributes[target.attr] = known

    def _loop(self, target: ast.expr, iterated: ast.expr, scope: Scope) -> None:
        """A loop's variables: places, but for elements of a display of configured values."""
        called = getattr(iterated.func, "id", "") if isinstance(iterated, ast.Call) else ""
        parts = list(target.elts) if isinstance(target, (ast.Tuple, ast.List)) else None

        if called in ("reversed", "sorted", "list", "tuple", "iter") and iterated.args:
            self._loop(target, iterated.args[0], scope)
        elif called == "enumerate" and parts and len(parts) == 2:
            self._place(parts[0], CONSTANT, scope)
            self._loop(parts[1], iterated.args[0], scope)
        elif called == "zip" and parts and len(parts) == len(iterated.args):
            for part, argument in zip(parts, iterated.args):
                self._loop(part, argument, scope)
        elif isinstance(iterated, (ast.Tuple, ast.List, ast.Set)):
            for row in iterated.elts:
                if isinstance(row, ast.Starred):
                    self._place(target, HARDWARE, scope)
                    continue
                cells = row.elts if isinstance(row, (ast.Tuple, ast.List)) else []
                same = parts and len(cells) == len(parts)
                for n, part in enumerate(parts or [target]):
                    self._place(part, self.of(cells[n] if same else row, scope), scope)
        else:
            known = self.of(iterated, scope)
            self._place(target, Known(PLACE, known.pure), scope)

    def _place(self, target: ast.expr, known: Known, scope: Scope) -> None:
        for part in ast.walk(target):
            if isinstance(part, ast.Name):
                scope.bind(part.id, known._replace(level=max(PLACE, known.level)))

    def _given(self, call: ast.Call, scope: Scope) -> None:
        """A call of a function of this module: its parameters are what they are given."""
        name = call.func.id if isinstance(call.func, ast.Name) else ""
        if isinstance(call.func, ast.Attribute) and _is_self(call.func.value):
            name = call.func.attr
        function = self.functions.get(name)
        if function is None:
            return
        inside, spec = self.scopes[id(function)], parameters(function)
        pairs = [(arg.arg, value) for (arg, _), value in zip(spec, call.args)]
        pairs += [(given.arg, given.value) for given in call.keywords if given.arg]
        for parameter, value in pairs:
            known = self.of(value, scope)
            if parameter in inside.open:
                inside.open.discard(parameter)
                inside.names[parameter] = known
            elif parameter in inside.names:
                inside.bind(parameter, known)

    # ---- values -----------------------------------------------------------------------------
    def of(self, node: ast.AST, scope: Scope) -> Known:
        """What is known of an expression."""
        if isinstance(node, ast.Constant):
            return Known(PLAIN, True, isinstance(node.value, bool))
        if isinstance(node, ast.Name):
            return scope.find(node.id) or CONSTANT
        if isinstance(node, ast.Attribute):
            return self._attribute(node, scope)
        if isinstance(node, ast.Call):
            return self._call(node, scope)
        if isinstance(node, (*COMPREHENSIONS, ast.Lambda)):
            made, loops = self.inner(node, scope), getattr(node, "generators", ())
            parts = [self.of(loop.iter, scope) for loop in loops]
            named = ("elt", "key", "value", "body")
            parts += [self.of(getattr(node, part), made) for part in named if hasattr(node, part)]
            parts += [self.of(test, made) for loop in loops for test in loop.ifs]
            return self._all(parts)._replace(flag=False)
        parts = [
            self.of(child, scope)
            for child in ast.iter_child_nodes(node)
            if isinstance(child, (ast.expr, ast.keyword))
        ]
        known = self._all(parts)

        if isinstance(node, ast.Compare):
            return known._replace(flag=known.pure)
        if isinstance(node, ast.UnaryOp):
            return known._replace(flag=known.pure if isinstance(node.op, ast.Not) else known.flag)
        if isinstance(node, ast.IfExp):
            chosen = self._all(parts[1:])
            return known._replace(pure=chosen.pure, flag=all(part.flag for part in parts[1:]))
        if isinstance(node, ast.BoolOp):
            return known._replace(flag=all(part.flag for part in parts))
        return known._replace(flag=False)

    @staticmethod
    def _all(parts: list[Known]) -> Known:
        level = max((part.level for part in parts), default=PLAIN)
        return Known(level, all(part.pure for part in parts))

    def _attribute(self, node: ast.Attribute, scope: Scope) -> Known:
        if _is_self(node.value) and scope.owner is not None:
            if node.attr == "config":
                return Known(CONFIG, True)
            return scope.owner.attributes.get(node.attr, HARDWARE)
        base = self.of(node.value, scope)
        if base.level != PLAIN:
            return Known(base.level, base.pure, base.pure and node.attr in self.flags)
        if isinstance(node.value, ast.Name) and scope.find(node.value.id) is None:
            return CONSTANT  # of a module or class
        return self.elsewhere.get(node.attr, HARDWARE)

    def _call(self, node: ast.Call, scope: Scope) -> Known:
        values = [*node.args, *(keyword.value for keyword in node.keywords)]
        given = self._all([self.of(value, scope) for value in values])
        if isinstance(node.func, ast.Name):
            name = node.func.id
            if name in ("int", "bool") and len(node.args) == 1:
                return self.of(node.args[0], scope)
            if name == "len":
                return Known(given.level, True)
            if scope.find(name) is not None:  # a class or function that was chosen
                return HARDWARE
            built = name.lstrip("_")[:1].isupper() and name not in self.records
            return HARDWARE if built or name == "getattr" else given
        if not isinstance(node.func, ast.Attribute):
            return HARDWARE
        if node.func.attr.lstrip("_")[:1].isupper():
            return HARDWARE
        base = self.of(node.func.value, scope)
        if base.level == CONFIG:
            return Known(CONFIG, base.pure and given.pure, node.func.attr in self.flags)
        if _is_self(node.func.value):
            return Known(given.level, False)
        return given if base == CONSTANT else HARDWARE


class Walker:
    """Walks a function and counts its choices."""

    def __init__(self, facts: Facts, choices: Choices):
        self.facts, self.choices = facts, choices
        self.builds = False  # within __init__, where an `if` may only validate

    def function(self, node: ast.AST) -> int:
        """Counts a function with those nested in it; how many tests it has."""
        before = self.choices.tests
        scope, outer = self.facts.scopes[id(node)], self.builds
        self.builds = node.name in ("__init__", "__post_init__")
        for statement in node.body:
            self.visit(statement, scope)
        self.builds = outer
        return self.choices.tests - before

    def add(self, kind: str, node: ast.AST, condition: ast.AST, number: int = 1) -> None:
        self.choices.tests += number
        self.choices.kinds[kind] += number
        self.choices.found += [(node.lineno, kind)] * number
        named = {getattr(part, "id", getattr(part, "attr", None)) for part in ast.walk(condition)}
        if "registered" in named:
            self.choices.registered += 1

    def condition(
        self, kind: str, node: ast.AST, condition: ast.expr, scope: Scope, value: bool = False
    ) -> None:
        """One test, and one for each further operand; `value`: the `and` or `or` of a value."""
        operands = _operands(condition)
        number = sum(self.facts.of(operand, scope).level == CONFIG for operand in operands)
        if number:
            self.add(kind, node, condition, max(1, number - value))
        else:
            self.choices.places += 1
        for operand in operands:
            self.visit(operand, scope)

    def children(self, node: ast.AST, scope: Scope) -> None:
        for child in ast.iter_child_nodes(node):
            self.visit(child, scope)

    def visit(self, node: ast.AST, scope: Scope) -> None:
        """Counts what is at a node and below it."""
        if isinstance(node, FUNCTIONS):
            self.function(node)
        elif isinstance(node, ast.Assert):
            return
        elif isinstance(node, (ast.If, ast.While, ast.IfExp)):
            if isinstance(node, ast.If) and self.builds and _only_raises(node):
                return
            kind = {ast.If: "if", ast.While: "while", ast.IfExp: "ternary"}[type(node)]
            self.condition(kind, node, node.test, scope)
            for child in ast.iter_child_nodes(node):
                if child is not node.test:
                    self.visit(child, scope)
        elif isinstance(node, ast.Match):
            self.condition("match", node, node.subject, scope)
            for case in node.cases:
                if case.guard is not None:
                    self.condition("if", case.guard, case.guard, scope)
                for statement in case.body:
                    self.visit(statement, scope)
        elif isinstance(node, (*COMPREHENSIONS, ast.Lambda)):
            self.comprehension(node, scope)
        elif isinstance(node, ast.BoolOp):
            self.condition("and/or", node, node, scope, value=True)
        else:
            self.expression(node, scope)
            self.children(node, scope)

    def comprehension(self, node: ast.AST, scope: Scope) -> None:
        made = self.facts.inner(node, scope)
        for loop in getattr(node, "generators", ()):
            self.visit(loop.iter, made)
            for test in loop.ifs:
                self.condition("comprehension", test, test, made)
        for part in ("elt", "key", "value", "body"):
            if hasattr(node, part):
                self.visit(getattr(node, part), made)

    # ---- choices without a condition --------------------------------------------------------
    def flag(self, node: ast.AST | None, scope: Scope) -> bool:
        known = self.facts.of(node, scope) if isinstance(node, ast.expr) else HARDWARE
        return known.level == CONFIG and known.flag and not _has_choice(node)

    def expression(self, node: ast.AST, scope: Scope) -> None:
        if isinstance(node, ast.Subscript):
            self.subscript(node, scope)
        elif isinstance(node, ast.BinOp):
            if self.flag(node.left, scope) or self.flag(node.right, scope):
                self.add("arithmetic", node, node)
        elif isinstance(node, ast.Call):
            self.call(node, scope)

    def subscript(self, node: ast.Subscript, scope: Scope) -> None:
        index = node.slice
        if isinstance(index, ast.Slice):
            if any(self.flag(bound, scope) for bound in (index.lower, index.upper)):
                self.add("look-up", node, index)
            return
        if isinstance(node.value, ast.Attribute) and node.value.attr == "d":
            self.domain(node, index)
            return
        known = self.facts.of(index, scope)
        if known.level != CONFIG or _has_choice(index):
            return
        display = isinstance(node.value, (ast.Dict, ast.Tuple, ast.List))
        table = known.pure and getattr(node.value, "id", None) in self.facts.tables
        if display or table or known.flag:
            self.add("look-up", node, index)

    def domain(self, node: ast.AST, name: ast.expr) -> None:
        """A domain's name that is no constant is a choice, whoever made it."""
        if not isinstance(name, ast.Constant) and not _has_choice(name):
            self.add("domain", node, name)

    def call(self, node: ast.Call, scope: Scope) -> None:
        name = getattr(node.func, "id", getattr(node.func, "attr", ""))
        given = [*node.args, *(keyword.value for keyword in node.keywords)]
        first = given[0] if given else None

        def configured(value: ast.expr) -> bool:
            return self.facts.of(value, scope).level == CONFIG and not _has_choice(value)

        if name == "getattr" and len(given) > 1:
            if configured(given[1]):
                self.add("getattr", node, given[1])
        elif name == "get" and isinstance(getattr(node.func, "value", None), ast.Dict):
            if configured(first):
                self.add("look-up", node, first)
        elif name == "DomainRenamer" and given:
            for value in first.values if isinstance(first, ast.Dict) else [first]:
                self.domain(node, value)
        elif name == "range":
            if any(self.flag(value, scope) for value in given):
                self.add("arithmetic", node, node)
        elif name != "eq" and not hasattr(builtins, name):
            self.choices.passed += sum(self.flag(value, scope) for value in given)


def count(
    text: str,
    name: str = "",
    flags: set[str] = frozenset(),
    elsewhere: dict[str, Known] | None = None,
) -> Choices:
    """Choices in a module's source. `flags`: attributes that are bools; `elsewhere`: what
    attributes of other modules' components are."""
    tree, choices = ast.parse(text), Choices()
    if not builds_hardware(tree, name):
        return choices
    facts = Facts(tree, flags, elsewhere)
    walker = Walker(facts, choices)

    for owner in facts.classes:
        inside = {method.name: walker.function(method) for method in _nested(owner.node)}
        if is_component(owner.node):
            choices.units[owner.node.name] = (sum(inside.values()), inside.get("elaborate", 0))
    outside = sum(walker.function(node) for node in facts.tree.body if isinstance(node, FUNCTIONS))
    if outside:
        choices.units[""] = (outside, 0)
    choices.found.sort()
    return choices


def count_all(sources: dict[str, str]) -> dict[str, Choices]:
    """Choices by module of these (name -> source), which know of each other's attributes."""
    trees = {name: ast.parse(text) for name, text in sources.items()}
    flags = bool_fields(list(trees.values()))
    elsewhere: dict[str, Known] = {}
    for name, tree in trees.items():
        if builds_hardware(tree, name):
            for owner in Facts(tree, flags).classes:
                for attribute in owner.attributes:
                    elsewhere[attribute] = Known(CONFIG)  # perhaps a port of another's
    return {name: count(text, name, flags, elsewhere) for name, text in sources.items()}
