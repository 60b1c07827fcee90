"""Options of the tests, which of their cases are run, and a list of those that are not."""

from __future__ import annotations

from collections import Counter, defaultdict

import pytest

LEFT_OUT = pytest.StashKey[Counter[str]]()  # cases by test function
KEY = "left_out"  # the same, as a process of several hands it on


def pytest_addoption(parser):
    parser.addoption(
        "--layers",
        type=int,
        help="random layers to run on the RTL of `tiny` (default 28; 120 with --all)",
    )
    parser.addoption("--graphs", type=int, help="random networks (default 25; 1000 with --all)")
    parser.addoption("--first-seed", type=int, default=0, help="seed of the first of them")
    parser.addoption(
        "--all",
        action="store_true",
        help="every case of the tests that run some of theirs only (`sampled`)",
    )
    parser.addoption(
        "--netlist", action="store_true", help="simulate a whole accelerator's netlist too: minutes"
    )
    parser.addoption(
        "--bitstream", action="store_true", help="build the smallest board's bitstream too: minutes"
    )


@pytest.fixture
def cases(request, record_property):
    """cases(usual, most, option): how many of `most` cases a test makes itself, those of the option
    or the usual number, and all with --all; the others are listed at the end."""

    def choose(usual, most, option=None):
        given = request.config.getoption(option) if option else None
        count = given or (most if request.config.getoption("all") else usual)
        record_property(KEY, max(0, most - count))
        return count

    return choose


def pytest_configure(config):
    config.stash[LEFT_OUT] = Counter()
    config.addinivalue_line(
        "markers",
        "sampled(n, across='built'): case i, with the bth value of that parameter, is run if n "
        "divides i + b; with --all every one is",
    )


def pytest_collection_modifyitems(config, items):
    if config.getoption("--all"):
        return
    numbers, kept, left = defaultdict(dict), [], []

    def number(kind, value):
        """In the order in which values of a kind come."""
        return numbers[kind].setdefault(value, len(numbers[kind]))

    for item in items:
        marker, run = item.get_closest_marker("sampled"), True
        if marker:
            params = {name: repr(value) for name, value in item.callspec.params.items()}
            across = marker.kwargs.get("across", "built")
            way = number((item.function, across), params.pop(across, None))
            run = (number(item.function, tuple(sorted(params.items()))) + way) % marker.args[0] == 0
        (kept if run else left).append(item)
    items[:] = kept
    config.stash[LEFT_OUT].update(item.nodeid.partition("[")[0] for item in left)
    if left:
        config.hook.pytest_deselected(items=left)


def pytest_sessionfinish(session):
    """A process of several hands on what it left out: each collects the same."""
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput[KEY] = dict(session.config.stash[LEFT_OUT])


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node, error):
    if found := getattr(node, "workeroutput", {}).get(KEY):
        node.config.stash[LEFT_OUT] = Counter(found)


def pytest_terminal_summary(terminalreporter, config):
    """What was not run for want of an option, a line a test function."""
    left = Counter({(name, "--all"): count for name, count in config.stash[LEFT_OUT].items()})
    for report in terminalreporter.getreports("passed") + terminalreporter.getreports("failed"):
        if report.when == "call":
            left[report.nodeid.partition("[")[0], "--all"] += dict(report.user_properties).get(
                KEY, 0
            )
    for report in terminalreporter.getreports("skipped"):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else ""
        option = reason.removeprefix("Skipped: ").partition(":")[0]
        if option.startswith("--"):
            left[report.nodeid.partition("[")[0], option] += 1
    rows = [
        (name, f"{count:,} case{'s' * (count > 1)}", option)
        for (name, option), count in sorted(left.items())
        if count
    ]
    if not rows:
        return
    terminalreporter.section("left out, and the option that runs it")
    widths = [max(len(row[column]) for row in rows) for column in (0, 1)]
    for name, cases, option in rows:
        terminalreporter.line(f"{name:{widths[0]}}  {cases:>{widths[1]}}  {option}")
