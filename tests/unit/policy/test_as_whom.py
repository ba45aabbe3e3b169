"""As whom a rule lets a task run: `run_as` and `run_as_group`."""

import pytest

from elevate.model import Allow, Deny
from elevate.policy import narrowest
from elevate.policy.cedar import export
from elevate.policy.write import toml_of
from tests.unit.policy.build import ask, policy, problems, rule, run

PATH = 'kind = "process.run", path = "/usr/bin/apt"'
RULES = "".join(
    [
        rule("admin", task=f"{{ {PATH} }}"),
        rule("user", task=f'{{ {PATH}, run_as = ["postgres", "www"] }}'),
        rule("group", task=f'{{ {PATH}, run_as_group = "adm" }}'),
        rule("both", task=f'{{ {PATH}, run_as = "postgres", run_as_group = ["adm", "ssl"] }}'),
        rule("either", task=f'{{ {PATH}, run_as = ["root", "news"] }}'),
    ]
)


@pytest.mark.parametrize(
    ("asked", "rules"),
    [
        ({}, ("admin", "either")),
        ({"run_as": "postgres"}, ("user",)),
        ({"run_as": "www"}, ("user",)),
        ({"run_as": "news"}, ("either",)),
        ({"run_as": "alice"}, ()),
        ({"run_as": "root"}, ()),
        ({"run_as": "alice", "run_as_group": "adm"}, ("group",)),
        ({"run_as": "alice", "run_as_group": "ssl"}, ()),
        ({"run_as": "postgres", "run_as_group": "adm"}, ("both",)),
        ({"run_as": "postgres", "run_as_group": "ssl"}, ("both",)),
        ({"run_as": "www", "run_as_group": "adm"}, ()),
        ({"run_as": "news", "run_as_group": "adm"}, ()),
    ],
)
def test_allow_is_for_whom_it_names(asked: dict[str, object], rules: tuple[str, ...]) -> None:
    """The admin account where it names nobody; with a group alone, the asking user."""
    decision = policy(RULES).decide(ask({"kind": "process.run", "path": "/usr/bin/apt", **asked}))
    assert decision.rules == rules
    assert isinstance(decision, Allow) is bool(rules)


def test_deny_that_names_nobody_is_for_all() -> None:
    """And one that names a user is for that one."""
    for_all = policy(RULES + rule("no", "deny", task=f"{{ {PATH} }}"))
    for_one = policy(RULES + rule("no", "deny", task='{ run_as = "www" }'))
    assert isinstance(for_all.decide(run(run_as="www")), Deny)
    assert isinstance(for_one.decide(run(run_as="www")), Deny)
    assert isinstance(for_one.decide(run(run_as="postgres")), Allow)


def test_explain_says_what_was_missing() -> None:
    """For a rule that is for others."""
    explained = policy(rule("admin", task=f"{{ {PATH} }}") + rule("group", task=f'{{ {PATH}, run_as_group = "adm" }}')).explain(
        run(run_as="www")
    )
    assert "wants the admin account; here: asked to run as www" in explained.text()
    assert "wants run_as_group adm; here: run_as_group none" in explained.text()


@pytest.mark.parametrize("then", ['{ capabilities = ["CAP_CHOWN"] }', '{ identity = "root" }'])
def test_capabilities_are_the_admin_accounts(then: str) -> None:
    """A rule for another user can't give them."""
    said = problems(rule("user", task=f'{{ {PATH}, run_as = "postgres" }}', then=then))
    assert "is the admin account's, and this rule runs as another user" in said
    assert policy(rule("user", task=f'{{ {PATH}, run_as = "root" }}', then=then)).rules


def test_offered_rule_allows_what_was_asked() -> None:
    """With user and group."""
    asked = run(run_as="postgres", run_as_group="ssl")
    assert policy(narrowest(asked)).decide(asked).rules != ()
    assert policy(narrowest(asked)).decide(run()).rules == ()


def test_rule_is_written_as_it_was_read() -> None:
    """What follows from what it does not say is not written."""
    for one in policy(RULES).rules:
        assert policy(toml_of(one)).rules[0].conditions == one.conditions


def test_cedar_says_the_same() -> None:
    """As far as it can: the asking user's own name it can't say."""
    exported = export(policy(RULES).rules)
    assert exported.left_out == ("group: task.run_as_group: left out",)
    assert "!(context has run_as) && !(context has run_as_group)" in exported.text
