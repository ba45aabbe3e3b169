"""What a prompt shows: fidelity rows 18 and 19, attacks row 37."""

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from elevate.hello import prompt_view, refusal_view
from elevate.hello.render import COLUMNS, lines
from elevate.hello.view import prompt_class
from elevate.model import Allow, Blob, Fact, FactValue, Obligations, Outcome, request_digest
from elevate.tasks import Task
from tests.hello.parts import OFFER, agreement


def test_fidelity_19_the_prompt_shows_what_the_broker_found() -> None:
    """Real path, hash, arguments, directory, requester with parents, reason, rule, and the digest that is signed."""
    asked = agreement()
    view = prompt_view(asked, OFFER, emulated=True)
    shown = {name: view[name] for name in ("title", "path", "sha256", "argv", "cwd", "reason", "rules", "publisher")}
    assert shown == {
        "title": "Run a program",
        "path": "/usr/bin/id",
        "sha256": "ab" * 32,
        "argv": ["/usr/bin/id", "-u"],
        "cwd": "/srv",
        "reason": "INC-4711",
        "rules": ["developers-run-id"],
        "publisher": "Contoso",
    }
    requester = view["requester"]
    assert isinstance(requester, dict)
    assert (requester["user"], requester["chain"]) == ("alice", ["bash (4711)", "sshd (12)"])
    assert view["digest"] == request_digest(asked).hex()
    assert view["host_note"] == "emulated: no security boundary"
    assert prompt_view(asked, OFFER, emulated=False)["host_note"] == ""


@pytest.mark.parametrize(
    ("facts", "colour"),
    [
        ({"signer": "Contoso"}, "grey"),
        ({"signer": Fact.ABSENT}, "yellow"),
        ({"signer": Fact.UNDETERMINED}, "yellow"),
        ({"signer": ""}, "yellow"),
        ({}, "yellow"),
        ({"signer": "Contoso", "blocked": True}, "red"),
    ],
)
def test_fidelity_18_one_class_for_each_kind_of_publisher(facts: dict[str, FactValue], colour: str) -> None:
    """Verified is grey, unsigned or unknown is yellow, blocked is red."""
    assert prompt_class(facts) == colour


def test_fidelity_18_what_policy_blocks_is_red_and_offers_nothing() -> None:
    """There is nothing to agree to, so there is no digest."""
    asked = agreement()
    view = refusal_view(asked.task, asked.requester, message="not here", emulated=False)
    assert (view["class"], view["mode"], view["reason"]) == ("red", "refused", "not here")
    assert "digest" not in view


def test_the_view_holds_no_secret_of_the_person() -> None:
    """It may be logged."""
    assert OFFER.phrase not in json.dumps(prompt_view(agreement(), OFFER, emulated=True))


@pytest.mark.parametrize(("outcome", "mode"), [(Outcome.CONSENT, "consent"), (Outcome.CREDENTIAL, "credential")])
def test_37_the_mode_is_consent_only_where_policy_says_so(outcome: Outcome, mode: str) -> None:
    """An approval asks for a credential too."""
    assert prompt_view(agreement(outcome=outcome), OFFER, emulated=True)["mode"] == mode
    assert prompt_view(agreement(outcome=Outcome.APPROVAL), OFFER, emulated=True)["mode"] == "credential"


Extra = dict[str, str | int | bool | tuple[str, ...]]


def given_by(extra: Extra) -> Allow:
    return Allow(outcome=Outcome.CREDENTIAL, rules=("r",), obligations=Obligations(extra=tuple(sorted(extra.items()))))


@pytest.mark.parametrize(
    ("extra", "said"),
    [
        ({}, ""),
        ({"interactive": True, "alone": True}, ""),
        ({"identity": "root"}, "root"),
        ({"identity": "root", "capabilities": ("CAP_CHOWN", "CAP_FOWNER")}, "root, with CAP_CHOWN, CAP_FOWNER only"),
        ({"capabilities": ("CAP_CHOWN",)}, "with CAP_CHOWN"),
        ({"identity": "root", "network": False, "writable": ("/srv", "/etc")}, "root; no network; writes /srv, /etc only"),
        ({"writable": ("-",), "read_only": ("/etc",)}, "writes nothing; does not write /etc"),
    ],
)
def test_37_the_prompt_says_what_the_rule_gives_the_task(extra: Extra, said: str) -> None:
    """On a real machine: root or the hidden account, what that may, and what it is kept from; for each of several steps."""
    asked = replace(agreement(), decision=given_by(extra))
    view = prompt_view(asked, OFFER, emulated=False)
    assert view["rights"] == said
    assert (f"  rights     {said}" in lines(view, phrase="")) is bool(said)
    assert prompt_view(asked, OFFER, emulated=True)["rights"] == ""
    one, task = asked.task, asked.task.task
    several = replace(one, task=replace(task, kind="steps", params=(), steps=(task, task)), steps=(one, one))
    whole = prompt_view(
        replace(asked, task=several, decision=replace(given_by({}), steps=(given_by({}), given_by(extra)))),
        OFFER,
        emulated=False,
    )
    assert [step["rights"] for step in whole["steps"]] == ["", said]  # type: ignore[call-overload, index, union-attr]
    assert (f"    rights     {said}" in lines(whole, phrase="")) is bool(said)


@pytest.mark.parametrize(
    ("extra", "payload", "said"),
    [
        ({}, None, "none, no keys either; pipe it in, or use a rule with interactive"),
        ({"interactive": True}, None, "what is typed while it runs"),
        ({"interactive": True}, Blob(sha256="cd" * 32, size=3), f"3 bytes, sha256 {'cd' * 32}"),
        ({}, Blob(sha256="cd" * 32, size=3), f"3 bytes, sha256 {'cd' * 32}"),
    ],
)
def test_26_the_prompt_says_what_the_task_reads(extra: Extra, payload: Blob | None, said: str) -> None:
    """Before it runs: an editor of files that gets no keys may leave an empty file."""
    asked = agreement()
    asked = replace(asked, decision=given_by(extra), task=replace(asked.task, payload=payload))
    shown = [line for line in lines(prompt_view(asked, OFFER, emulated=True), phrase="") if line.startswith("  input ")]
    assert shown == [f"  input      {said}"]
    assert payload or len(shown[0]) < COLUMNS


def test_26_no_input_is_told_only_of_a_program_that_may_run() -> None:
    """Not of what is refused, of other kinds, or of each of several steps."""
    asked = agreement()
    asked = replace(asked, task=replace(asked.task, payload=None))
    other = replace(asked, task=replace(asked.task, task=Task.install("/srv/a.deb")))
    one, task = asked.task, asked.task.task
    several = replace(one, task=replace(task, kind="steps", params=(), steps=(task, task)), steps=(one, one))
    whole = replace(asked, task=several, decision=replace(given_by({}), steps=(given_by({}), given_by({}))))
    views = [prompt_view(each, OFFER, emulated=True) for each in (other, whole)]
    views.append(refusal_view(asked.task, asked.requester, message="not here", emulated=False))
    assert [line for view in views for line in lines(view, phrase="") if line.strip().startswith("input ")] == []


HOSTILE = st.text(alphabet=st.one_of(st.characters(codec="utf-8"), st.sampled_from("\x1b\n\r\x07\u202e\u2066\u200b\u2028")))


@given(word=HOSTILE, reason=HOSTILE)
def test_attack_37_nothing_from_outside_moves_the_terminal(word: str, reason: str) -> None:
    """Whatever stands in arguments, names and reasons, every shown character is printable."""
    word = word.replace("\0", "") or "x"
    view = prompt_view(agreement(("/bin/echo", word), reason=reason, chain=(reason,)), OFFER, emulated=True)

    def texts(value: object) -> list[str]:
        if isinstance(value, dict):
            return [text for member in value.values() for text in texts(member)]
        if isinstance(value, list):
            return [text for member in value for text in texts(member)]
        return [value] if isinstance(value, str) else []

    for text in texts(view):
        assert all(char.isprintable() or char == "\u3000" or char.isspace() for char in text), repr(text)
        assert not any(char in text for char in "\x1b\n\r\x07\u202e\u2066\u200b\u2028\x9b")


def test_a_long_argument_is_cut_and_says_so() -> None:
    """What is out of sight is counted."""
    view = prompt_view(agreement(("/bin/echo", "a" * 5000)), OFFER, emulated=True)
    argv = view["argv"]
    assert isinstance(argv, list)
    assert str(argv[1]).endswith("[…and 3976 more characters]")
    many = prompt_view(replace(agreement(("/bin/echo", *["a"] * 99))), OFFER, emulated=True)
    assert many["argv_more"] == 36
