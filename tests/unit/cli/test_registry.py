"""The registry from the command line."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from elevate.broker import Broker
from elevate.cli.registry import app
from elevate.errors import HostError

KEY = "[HKEY_LOCAL_MACHINE\\SOFTWARE\\Contoso]"
FILE = f'Windows Registry Editor Version 5.00\n\n{KEY}\n"Theme"="dark\\\\x"\n"Count"=dword:0000002a\n'


@pytest.fixture
def state(tmp_path: Path) -> Path:
    with Broker.embedded(tmp_path / "state"):
        pass
    return tmp_path / "state"


def run(state: Path, *words: str, data: bytes = b"") -> str:
    result = CliRunner().invoke(app, [*words, "--state", str(state)], input=data)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.output


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_what_goes_in_comes_out(state: Path, tmp_path: Path, encoding: str) -> None:
    assert run(state, "import", "-", data=FILE.encode(encoding)) == "2 changes made\n"

    run(state, "export", "HKLM", "-o", str(tmp_path / "out.reg"))

    text = (tmp_path / "out.reg").read_bytes().decode("utf-16")
    assert '[HKEY_LOCAL_MACHINE\\SOFTWARE\\Contoso]\r\n"Count"=dword:0000002a\r\n"Theme"="dark\\\\x"\r\n' in text
    assert text.splitlines() == run(state, "export", "HKLM").splitlines()


def test_what_can_t_be_done_is_said(state: Path, tmp_path: Path) -> None:
    with pytest.raises(HostError, match="no such account"):
        run(state, "export", "HKCU", "--account", "nobody-here")
    with pytest.raises(HostError, match="line 1"):
        run(state, "import", "-", data=b"nonsense")
    with pytest.raises(HostError, match="can't be read"):
        run(state, "import", str(tmp_path / "none.reg"))
    with pytest.raises(HostError, match="no emulated machine"):
        run(tmp_path / "elsewhere", "export", "HKLM")
