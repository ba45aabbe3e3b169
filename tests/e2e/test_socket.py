"""The whole way over the real socket: thin client, library and the public Varlink client against a real daemon."""

import os
import subprocess
from pathlib import Path

import pytest
import varlink

import elevate
from elevate.errors import DeniedError, TokenSpentError
from elevate.tasks import Task
from tests.e2e.daemon import Daemon


def test_run_elevates_once_and_leaves_a_receipt(daemon: Daemon) -> None:
    """A command runs as the hidden admin account; status, output and receipt come back."""
    status, out, err = daemon.run("-r", "why not", "--", "sh", "-c", "echo up; echo side >&2; exit 3")
    assert (status, out, err) == (3, b"up\n", b"side\n")


def test_standard_input_reaches_the_task(daemon: Daemon) -> None:
    """What is piped in is what the task reads."""
    status, out, err = daemon.run("cat", given=b"line\n" * 50_000)
    assert (status, len(out), err) == (0, 250_000, b"")


def test_library_elevates_and_the_second_use_is_refused(daemon: Daemon) -> None:
    """One grant, one run; the outcome has the receipt."""
    with (
        daemon.connect() as broker,
        broker.elevate(Task.run(["printenv", "USERNAME"]), reason="INC-4711", interactive=False) as grant,
    ):
        outcome = grant.run(capture=True)
        assert (outcome.exit_status, outcome.signal, outcome.stderr) == (0, None, b"")
        assert b"ADMIN_" in outcome.stdout
        with pytest.raises(TokenSpentError):
            grant.run()
        receipt = broker.receipt(grant.request)
        assert str(receipt.pop("proof")).startswith("c2sp.org/tlog-proof@v1")
        assert receipt == outcome.receipt


def test_one_connection_serves_many_tasks(daemon: Daemon) -> None:
    """Used grants make room for new ones."""
    with daemon.connect() as broker:
        for number in range(20):
            with broker.elevate(Task.run(["sh", "-c", f"exit {number}"]), interactive=False) as grant:
                assert grant.run().exit_status == number
                with pytest.raises(TokenSpentError):
                    grant.run()


def test_library_sends_a_payload(daemon: Daemon) -> None:
    """Declared input goes along as a sealed copy."""
    task = Task.run(["cat"], stdin=b"declared")
    with daemon.connect() as broker, broker.elevate(task, interactive=False) as grant:
        assert grant.run(capture=True).stdout == b"declared"


def test_states_are_told_as_they_are_reached(daemon: Daemon) -> None:
    """The caller sees how far its request is."""
    told: list[tuple[str, str]] = []
    with daemon.connect() as broker:
        grant = broker.elevate(Task.run(["true"]), interactive=False, on_state=lambda *state: told.append(state))
        grant.release()
    assert told == [(grant.request, "requested"), (grant.request, "prompting"), (grant.request, "issued")]


def test_unused_grant_is_taken_back(daemon: Daemon) -> None:
    """A grant that is left is a token that is gone."""
    with daemon.connect() as broker:
        grant = broker.elevate(Task.run(["true"]), interactive=False)
        grant.release()
        with pytest.raises(TokenSpentError.__mro__[1]):
            broker.redeem(grant.request, capture=True)


def test_denied_task_says_which_rule_would_allow_it(daemon: Daemon) -> None:
    """A refusal by default deny has the rule in its hint."""
    tool = daemon.state.parent / "tool"
    tool.write_text("#!/bin/sh\necho mine\n")
    tool.chmod(0o755)
    status, out, err = daemon.run(str(tool))
    assert (status, out) == (126, b"")
    error, hint, rule = err.decode().split("\n", 2)
    assert error.startswith("elevate: error: ")
    assert hint.startswith("elevate: hint: ")
    assert rule.startswith("[[rule]]\n")


def test_explain_asks_nobody(daemon: Daemon) -> None:
    """Explain gives outcome and rules, and opens no request."""
    with daemon.connect() as broker:
        before = broker.status()["log_size"]
        found = broker.explain(Task.run(["id"]))
        assert (found["outcome"], broker.status()["log_size"]) == ("credential", before)


def test_broker_knows_this_process(daemon: Daemon) -> None:
    """Identity comes from the kernel."""
    with daemon.connect() as broker:
        who = broker.requester()
    assert (who["uid"], who["pid"]) == (os.getuid(), os.getpid())


def test_public_varlink_client_calls_the_broker(daemon: Daemon) -> None:
    """Introspection, a plain call, progress, and the error with its members."""
    with varlink.Client(f"unix:{daemon.socket}") as client, client.open("io.elevate.Broker") as broker:
        assert "io.elevate.Broker" in client.get_interfaces()
        assert broker.Status()["status"]["emulated"] is True
        task = {"kind": "process.run", "params": {"argv": ["echo", "hi"], "cwd": "/"}}
        told = list(broker.Run(task, "by varlink", _more=True))
        assert [each["state"] for each in told if not each.get("stream")] == [
            "requested", "prompting", "issued", "running", "destroyed",
        ]  # fmt: skip
        assert [each["data"] for each in told if each.get("stream")] == ["aGkK"]
        assert told[-1]["outcome"]["exit_status"] == 0
        with pytest.raises(varlink.VarlinkError) as caught:
            broker.Run({"kind": "no.such", "params": {}})
        assert caught.value.error() == "io.elevate.Broker.Failed"
        assert caught.value.parameters()["code"] == "task-kind-unknown"


def test_denied_error_crosses_as_its_own_class(daemon: Daemon) -> None:
    """A caller can catch what it means."""
    with daemon.connect() as broker, pytest.raises(DeniedError) as caught:
        broker.elevate(Task.run(["sh"]), interactive=False)
    assert (caught.value.code, caught.value.exit_code, caught.value.windows_code) == ("denied", 126, 740)


@pytest.mark.parametrize(
    ("setting", "protected"), [("", True), ("EnableLUA = 0", False), ("TypeOfAdminApprovalMode = 1", False)]
)
def test_is_protected_says_what_the_settings_say(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, setting: str, *, protected: bool
) -> None:
    """The API that Windows lacks: on, inert, or in legacy mode; and off where nobody listens."""

    class Set(Daemon):
        def _start(self) -> "subprocess.Popen[str]":
            place = self.state / "settings.toml"
            name = setting.partition(" ")[0]
            lines = [setting if name and line.startswith(name) else line for line in place.read_text().splitlines()]
            place.write_text("\n".join(lines))
            return super()._start()

    path = tmp_path / "run" / "broker.sock"
    monkeypatch.setattr("elevate.library.place", lambda: (str(path), os.getuid()))  # the fixed place is the machine's
    assert elevate.is_protected() is False
    with Set(tmp_path):
        assert elevate.is_protected() is protected
