"""What the baseline measures is there, and bad files are refused before anything is measured."""

import pytest

from fpga.flow.area import COMPONENTS
from hdl.config import BOARD_PRESETS, PRESETS
from tests.tools import baseline


def test_components_are_known():
    for preset, names in baseline.AREAS.items():
        assert preset in PRESETS | BOARD_PRESETS
        assert set(names.split()) <= set(COMPONENTS)
    measured = {name for names in baseline.AREAS.values() for name in names.split()}
    assert measured == set(COMPONENTS)


@pytest.mark.parametrize("text", ["[1, 2]", '{"cycles": 3}', "{", None])
def test_bad_files(text, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(baseline, "take", lambda *_: pytest.fail("measured"))
    file = tmp_path / "before.json"
    if text is not None:
        file.write_text(text)
    assert baseline.main(["--against", str(file)]) == 2
    assert baseline.main(["--json", str(tmp_path / "none" / "out.json")]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 2
