from collections import defaultdict


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


def pytest_configure(config):
    config.addinivalue_line(
        "markers",
        "sampled(n, across='built'): case i, with the bth value of that parameter, is run if n "
        "divides i + b; with "
        "--all every one is",
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
    if left:
        config.hook.pytest_deselected(items=left)
