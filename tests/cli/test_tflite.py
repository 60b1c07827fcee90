"""TFLite files on the command line: read, and refused in one line."""

import pytest

import cli
from tests.compiler.tflite.test_damaged import net


@pytest.mark.parametrize("command", ["run", "compile"])
@pytest.mark.parametrize(
    "change, message",
    [
        ({}, "a TFLite network, which can be read but not yet run"),
        ({"scale": 0.0}, "tensor 'y': scale 0.0: it must be finite and above 0"),
    ],
)
def test_refused(command, change, message, tmp_path, capsys):
    file = tmp_path / "net.tflite"
    file.write_bytes(net(**change))
    words = {
        "run": ["run", "--device", "golden", "--model", str(file)],
        "compile": ["compile", str(file), "-o", str(tmp_path / "out")],
    }
    assert cli.main(words[command]) == 2
    err = capsys.readouterr().err
    assert message in err and err.strip().count("\n") == 0
    assert [*tmp_path.iterdir()] == [file]
