"""The signature in an entry is the person's, over that request, and is verified without the broker."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from elevate.broker import Broker
from elevate.cli.audit import app
from elevate.errors import ElevateError, GestureError
from elevate.hello.kept import verify_kept
from elevate.hello.webauthn import b64, unb64
from elevate.store.reader import LedgerReader
from elevate.tasks import Task


@pytest.fixture(scope="module")
def broker() -> Iterator[Broker]:
    with Broker.embedded() as made:
        made.elevate(Task.run(["whoami"]), reason="why").release()
        made.elevate(Task.run(["true"]), reason="why").release()
        yield made


@pytest.fixture
def bodies(broker: Broker) -> list[dict[str, Any]]:
    """Two entries that say who agreed to what."""
    return [json.loads(json.dumps(entry["body"])) for entry in broker.search("event:issued")]


def test_the_signature_in_an_entry_verifies(bodies: list[dict[str, Any]]) -> None:
    """With the key that stands beside it, by the gesture that the entry names."""
    for body in bodies:
        kept = verify_kept(body)
        assert kept is not None
        assert (kept.method, kept.simulated, kept.bound) == ("face", True, True)
        assert kept.key == hashlib.sha256(unb64(body["authentication"]["assertion"]["public_key"])).hexdigest()


def test_what_was_not_opened_says_nothing(bodies: list[dict[str, Any]]) -> None:
    """Neither where the person's part was erased, nor where nobody was asked; without the task it is over nobody knows what."""
    one = bodies[0]
    assert verify_kept({"task": one["task"]}) is None
    assert verify_kept({"authentication": {"method": "none", "assertion": {}}}) is None
    kept = verify_kept({"authentication": one["authentication"]})
    assert kept is not None
    assert not kept.bound


@pytest.mark.parametrize("part", ["public_key", "signature", "authenticator_data", "client_data"])
def test_a_signature_with_one_changed_byte_is_refused(bodies: list[dict[str, Any]], part: str) -> None:
    """In each of its parts, at each byte of the signature and at some of the others."""
    assertion = bodies[0]["authentication"]["assertion"]
    data = unb64(assertion[part])
    for at in range(0, len(data), 1 if part == "signature" else 7):
        changed = data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]
        with pytest.raises(GestureError):
            verify_kept(_with(bodies[0], {**assertion, part: b64(changed)}))
    for odd in ("", "%", None, 5):
        with pytest.raises(GestureError):
            verify_kept(_with(bodies[0], {**assertion, part: odd}))


def test_a_signature_over_another_request_is_refused(bodies: list[dict[str, Any]]) -> None:
    """Each is good by itself."""
    with pytest.raises(GestureError, match="another request"):
        verify_kept(bodies[0] | {"authentication": bodies[1]["authentication"]})


def test_another_gesture_than_was_signed_is_refused(bodies: list[dict[str, Any]]) -> None:
    """The entry says a PIN, the signature a face."""
    with pytest.raises(GestureError, match="another gesture"):
        verify_kept(bodies[0] | {"authentication": {**bodies[0]["authentication"], "method": "pin"}})


def test_check_verifies_the_signature_too(broker: Broker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It says by which gesture and key; entries that hold none say nothing of it."""
    files = {}
    for entry in broker.search():
        if entry["event"] in {"issued", "requested"}:
            files[entry["event"]] = tmp_path / str(entry["event"])
            files[entry["event"]].write_text(broker.prove(int(str(entry["seq"]))))
    signed, plain = (json.loads(_check(broker, files[event])) for event in ("issued", "requested"))
    assert (signed["signature"]["method"], signed["signature"]["bound"], plain["signature"]) == ("face", True, None)
    monkeypatch.setattr("elevate.cli.audit_proofs.as_json", lambda *, json: json)
    assert f"signed by face (simulated): this request, with the key SHA256:{signed['signature']['key']}\n" in _check(
        broker, files["issued"]
    )
    assert "signed by" not in _check(broker, files["requested"])


def _check(broker: Broker, file: Path) -> str:
    with LedgerReader(broker.home.ledger) as reader:
        key = reader.keys()[0]
    result = CliRunner().invoke(app, ["check", str(file), "--key", key])
    if isinstance(result.exception, ElevateError):
        raise result.exception
    return result.stdout


def _with(body: Mapping[str, Any], assertion: Mapping[str, Any]) -> dict[str, Any]:
    return {**body, "authentication": {**body["authentication"], "assertion": assertion}}
