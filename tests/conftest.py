def pytest_addoption(parser):
    parser.addoption("--layers", type=int, default=84,
                     help="random layers to run on the RTL of `tiny` (default 84)")
    parser.addoption("--first-seed", type=int, default=0, help="seed of the first of them")
    parser.addoption("--netlist", action="store_true", help="simulate a whole accelerator's netlist too: minutes")
