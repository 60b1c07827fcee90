"""Exploration: fronts and areas by hand, what a sweep refuses, resumption, and the same figures
from a Dask cluster."""

import dataclasses
import json
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import cli
from compiler.networks.layer_tables import NETWORKS
from compiler.studies import explore, map_table
from compiler.studies.costs import Costs
from compiler.studies.dataflows.hardware import AREA, area
from compiler.studies.energy import layer_energy
from compiler.studies.explore import (
    ExploreError,
    Point,
    Task,
    combinations,
    evaluate,
    evaluate_all,
    mark_front,
)
from compiler.studies.map_table import layers_of, map_layer
from hdl.config import PRESETS
from hdl.isa import Mode

TINY, EYERISS = PRESETS["tiny"], PRESETS["eyeriss"]
COSTS = Costs.load("eyeriss_65nm")


def task(**changes):
    return Task(
        TINY.to_dict(), tuple(changes.items()), "lenet5", "conv", 1, "gate", "cycles", COSTS
    )


@pytest.fixture(autouse=True)
def folders(tmp_path, monkeypatch):
    monkeypatch.setattr(explore, "FOLDER", tmp_path / "explore")
    monkeypatch.setattr(map_table, "FOLDER", tmp_path / "map")


def test_front():
    """b is beaten by a, d by c, h by b and a; equal points both stay; one that failed never
    counts."""

    def point(name, *objectives, error=""):
        return Point({"x": name}, 1, *objectives, error=error)

    points = [
        point("a", 10, 5, 5),
        point("b", 10, 6, 5),
        point("c", 20, 1, 9),
        point("d", 21, 1, 9),
        point("e", 30, 9, 1),
        point("f", 10, 5, 5),
        point("g", 0, 0, 0, error="no"),
        point("h", 10, 7, 6),
    ]
    assert [p.changes["x"] for p in mark_front(points)] == ["a", "f", "c", "e"]
    assert [p.front for p in points] == [True, False, True, False, True, True, False, False]


def test_front_by_definition():
    """Of 300 points in a small box, those that none of all beats."""
    rng = np.random.default_rng(4)
    points = [
        Point({"x": str(n)}, 1, *map(float, row))
        for n, row in enumerate(rng.integers(0, 9, (300, 3)))
    ]
    front = mark_front(points)
    assert [p.name for p in points if p.front] == [
        p.name for p in points if not any(q.beats(p) for q in points)
    ]
    assert 3 < len(front) < 100 and [p.objectives for p in front] == sorted(
        p.objectives for p in front
    )


def test_combinations():
    assert combinations(("rows=2,3", "glb_pairs=4")) == [
        (("rows", "2"), ("glb_pairs", "4")),
        (("rows", "3"), ("glb_pairs", "4")),
    ]


@pytest.mark.parametrize(
    "sweep, said",
    [
        (["pes=2"], "no field 'pes'"),
        (["name=a"], "no field 'name'"),
        (["rows"], "expected rows=VALUE"),
        (["rows=2,,3"], "expected rows=VALUE"),
        (["rows=2,2"], "values that differ"),
        (["rows=2", "rows=3"], "swept already"),
        ([], "nothing to sweep"),
        (
            [f"{field}={','.join(map(str, range(1000)))}" for field in ("rows", "columns")],
            "1,000,000 points",
        ),
    ],
)
def test_bad_sweeps(sweep, said):
    with pytest.raises(ExploreError, match=said):
        combinations(sweep)


def test_area():
    """By hand: a PE more is its spads and its logic; a pair of large banks more is its bytes."""
    # 2 PEs, whose numbers take no bit more: two filter halves of 64 bytes, 8 x (16 + 7) bits of
    # ifmap spad, 32 and 33 bytes of psums, logic
    more = explore.area(TINY.replace(columns=5)) - explore.area(TINY.replace(columns=4))
    assert more == pytest.approx(
        2 * (2 * 64 * AREA[64] + area(23) + 2 * area(32.5) + explore.PE_LOGIC)
    )
    pairs = EYERISS.replace(glb_pairs=16)
    assert explore.area(pairs) - explore.area(EYERISS) == pytest.approx(2 * 512 * 8 * AREA[4096])
    assert explore.area(EYERISS, 0) == pytest.approx(explore.area(EYERISS) - 168 * explore.PE_LOGIC)


def test_point_is_the_mapper():
    """A point is the sum of its layers, and its energy is near that of the commands; exact, it
    is that."""
    layers = layers_of(NETWORKS["lenet5"])
    rough, exact = (
        evaluate(t) for t in (task(rows="2"), dataclasses.replace(task(rows="2"), exact=True))
    )
    rows = [map_layer(graph, layer, zeros, 1, TINY, Mode.GATE) for graph, layer, zeros, _ in layers]
    assert rough.cycles == sum(row.cycles for row in rows) and rough.pes == 6 and not rough.error
    assert rough.dram_bytes == sum(row.dram_bytes for row in rows)
    rows = [
        map_layer(graph, layer, zeros, 1, TINY, Mode.GATE, commands=True)
        for graph, layer, zeros, _ in layers
    ]
    assert exact.cycles == sum(row.model_cycles for row in rows)
    assert exact.energy == pytest.approx(
        sum(layer_energy("", row.macs, row.accesses, 32, COSTS).total for row in rows)
    )
    assert rough.energy == pytest.approx(exact.energy, rel=0.15)


def test_points_that_cannot_be(monkeypatch):
    assert "columns" in evaluate(task(rows="1", columns="1")).error
    assert "cannot set" in evaluate(task(rows="x")).error
    assert "skip = False" in evaluate(dataclasses.replace(task(skip="false"), mode="skip")).error
    monkeypatch.setattr(map_table, "ranking", lambda *_: ())
    assert "no mapping fits" in evaluate(task(glb_pairs="2", glb_depth="64")).error


def test_resumes(monkeypatch):
    """Kept points are not evaluated again."""
    tasks = [task(rows=str(n)) for n in (2, 3, 99)]
    with ThreadPoolExecutor(1) as pool:
        first = evaluate_all(tasks[:2], pool)
        called = []
        monkeypatch.setattr(explore, "evaluate", lambda t: called.append(t) or evaluate(t))
        seen = []
        again = evaluate_all(tasks, pool, lambda *now: seen.append(now))
    assert called == tasks[2:] and again[:2] == first and "rows" in again[2].error
    assert seen == [(1, 3, "rows=2"), (2, 3, "rows=3"), (3, 3, "rows=99")]


def test_an_error_keeps_what_was_done(monkeypatch):
    """The second point of three fails: the first is not evaluated again."""
    tasks, called = [task(rows=str(n)) for n in (2, 3, 4)], []

    def broken(t):
        called.append(t)
        if t == tasks[1]:
            raise OSError("no")
        return Point(dict(t.changes), 1)

    monkeypatch.setattr(explore, "evaluate", broken)
    with ThreadPoolExecutor(1) as pool:
        with pytest.raises(OSError):
            evaluate_all(tasks, pool)
        monkeypatch.setattr(
            explore, "evaluate", lambda t: called.append(t) or Point(dict(t.changes), 1)
        )
        assert [p.changes["rows"] for p in evaluate_all(tasks, pool)] == ["2", "3", "4"]
    assert called.count(tasks[0]) == 1 and called.count(tasks[1]) == 2


def test_command(tmp_path, capsys):
    """Front, failures and files; the same files again; the front's points by their commands."""

    def run(*more):
        code = cli.main(
            [
                "explore",
                "--net",
                "lenet5",
                "--config",
                "tiny",
                "--batch",
                "1",
                "--sweep",
                "rows=2,40",
                "--jobs",
                "1",
                "--json",
                str(tmp_path / "x.json"),
                "--plot",
                str(tmp_path / "x.svg"),
                *more,
            ]
        )
        return (
            code,
            json.loads((tmp_path / "x.json").read_text()),
            (tmp_path / "x.svg").read_bytes(),
        )

    code, report, picture = run()
    out = capsys.readouterr().out
    assert (
        code == 0 and "1 points mapped, 1 cannot be built or mapped" in out and "rows = 40" in out
    )
    assert (
        report["command"]
        == 'make explore NET=lenet5 CONFIG=tiny MODE=gate BATCH=1 SWEEP="rows=2,40"'
    )
    assert [(p["changes"]["rows"], p["front"], p["exact_cycles"]) for p in report["points"]] == [
        ("2", True, 0),
        ("40", False, 0),
    ]
    assert run() == (0, report, picture)
    code, exact, _ = run("--exact")
    point = exact["points"][0]
    assert point["exact_cycles"] == evaluate(dataclasses.replace(task(rows="2"), exact=True)).cycles
    assert point | {"exact_cycles": 0, "exact_energy": 0.0} == report["points"][0]
    assert f"{point['exact_cycles']:,}" in capsys.readouterr().out


@pytest.mark.parametrize(
    "given, said",
    [
        (["--sweep", "rows"], "expected rows=VALUE"),
        (["--net", "nothing"], "network 'nothing'"),
        (["--costs", "nothing"], "costs 'nothing'"),
        (["--config", "nothing"], "unknown preset"),
        (["--net", "squeezenet1.0", "--part", "fc"], "squeezenet1.0 has no fc layers"),
        (
            ["--net", "lenet5", "--sweep", "rows=0,99"],
            "no point of the sweep can be built and mapped: rows=0: config",
        ),
    ],
)
def test_bad_input(given, said, capsys):
    """One line, status 2."""
    assert cli.main(["explore", "--jobs", "1", *given]) == 2
    out, err = capsys.readouterr()
    assert err.startswith("eyrie: error: ") and said in err and err.count("\n") == 1 and not out


def test_cluster(tmp_path, monkeypatch):
    """The same points from two workers of a Dask cluster, whose mappings are not used again."""
    distributed = pytest.importorskip(
        "distributed", reason="Dask is not installed: pip install eyrie[cluster]"
    )
    tasks = [task(rows=str(n)) for n in (2, 3)]
    with distributed.LocalCluster(
        n_workers=2,
        threads_per_worker=1,
        processes=False,
        dashboard_address=None,
        local_directory=str(tmp_path),
    ) as cluster:
        with explore.executor(scheduler=cluster.scheduler_address) as pool:
            found = evaluate_all(tasks, pool)
    monkeypatch.setattr(map_table, "FOLDER", tmp_path / "other")
    assert found == [evaluate(t) for t in tasks] and not any(p.error for p in found)


def test_no_cluster(monkeypatch):
    monkeypatch.setattr(explore, "CONNECT", 0.5)
    pytest.importorskip("distributed", reason="Dask is not installed: pip install eyrie[cluster]")
    with pytest.raises(ExploreError, match="scheduler tcp://127.0.0.1:9"):
        with explore.executor(scheduler="tcp://127.0.0.1:9"):
            pass
