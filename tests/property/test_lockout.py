"""The lock-out against what it promises, for any order of tries, crashes, waits and restarts."""

from dataclasses import dataclass, field, replace

from hypothesis import given
from hypothesis import strategies as st

from elevate.hello import LockoutRules, lockout
from elevate.hello.lockout import Now, Tries
from elevate.testing import ManualClock

STEPS = st.lists(
    st.one_of(
        st.sampled_from(["wrong", "right", "crash-wrong", "crash-right", "restart", "clock-back", "phrase", "burst", "insist"]),
        st.integers(0, 5_000),
    ),
    max_size=40,
)


@dataclass(slots=True)
class Person:
    """Tries as the counter lets them, and counts what was looked at."""

    rules: LockoutRules
    clock: ManualClock = field(default_factory=ManualClock)
    tries: Tries = field(default_factory=Tries)
    wrong: int = 0
    passed: int = 0
    boots: int = 0

    def does(self, step: str | int) -> None:
        if isinstance(step, int):
            self.clock.advance(step)
            self.passed += step
        elif step == "restart":
            self.boots += 1
            self.clock.reboot(f"boot-{self.boots}")
        elif step == "clock-back":
            self.clock.step_wall(-1_000_000)
        elif step in {"burst", "insist"}:
            for _ in range(40):
                self.does("phrase" if step == "insist" else "wrong")
                self.does("wrong")
        elif step == "phrase":
            self.tries = replace(self.settled(), phrase_typed=True)
        else:
            self.guesses(right=step.endswith("right"), crash=step.startswith("crash"))

    def now(self) -> Now:
        return Now(at=self.clock.read(), boot_id=self.clock.boot_id)

    def settled(self) -> Tries:
        self.tries = lockout.settle(self.tries, self.now(), self.rules)
        return self.tries

    def guesses(self, *, right: bool, crash: bool) -> None:
        before = self.settled()
        found = lockout.standing(before, self.now(), self.rules)
        if found.locked or found.phrase_needed:
            return
        self.tries = lockout.charge(before, self.now(), self.rules)
        self.wrong += not right
        if right and not crash:
            self.tries = lockout.refund(self.tries, before)


@given(steps=STEPS)
def test_no_more_wrong_pins_than_the_device_allows(steps: list[str | int]) -> None:
    """32, and one more for every 600 s that have passed; nothing else ever gives one back."""
    person = Person(LockoutRules(phrase_after=0))
    for step in ["wrong"] * 30 + steps:
        person.does(step)
        assert person.wrong <= 32 + person.passed // 600
        assert 0 <= person.tries.failed <= 32


@given(steps=STEPS)
def test_no_more_wrong_pins_in_a_row_than_the_sign_in_allows(steps: list[str | int]) -> None:
    """Four without a success, then one for every restart."""
    person = Person(LockoutRules())
    wrong, boots = 0, 0
    for step in steps:
        before = person.wrong
        person.does(step)
        wrong += person.wrong - before
        if person.tries.in_row == 0:  # a success
            wrong, boots = 0, person.boots
        assert wrong <= 4 + person.boots - boots


@given(steps=STEPS)
def test_a_record_comes_back_as_it_was_kept(steps: list[str | int]) -> None:
    """Whatever happened to it."""
    person = Person(LockoutRules())
    for step in steps:
        person.does(step)
        assert Tries.from_json(person.tries.to_json()) == person.tries
