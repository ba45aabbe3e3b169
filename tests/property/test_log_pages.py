"""Pages of the log, however they are cut: together they are the whole answer, once and in order, and nobody else's."""

from collections.abc import Iterator
from unittest.mock import patch

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from elevate.audit.query import parse
from elevate.store import pages
from elevate.store.pages import Span, Wanted, Whose, page
from elevate.store.reader import LedgerReader
from elevate.store.searching import search_found
from tests.biglog import USERS, make_log

WORDS = ("", "outcome:denied", "user:alice", "user:bob -event:requested", "rule:rule-3", "tool-7", "since:1h")


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LedgerReader]:
    path = tmp_path_factory.mktemp("pages") / "ledger.sqlite"
    make_log(path, 2600).close()
    with LedgerReader(path) as made:
        yield made


@settings(max_examples=60, deadline=None)
@given(
    words=st.sampled_from(WORDS),
    user=st.sampled_from([None, *USERS]),
    limits=st.lists(st.integers(1, 400), min_size=1),
    bounds=st.tuples(st.integers(0, 2600), st.integers(0, 2600)),
    oldest_first=st.booleans(),
    looked=st.integers(1, 3000),
)
def test_cut_as_one_likes_the_pages_are_the_answer(  # noqa: PLR0913 - all that a page depends on
    reader: LedgerReader,
    *,
    words: str,
    user: str | None,
    limits: list[int],
    bounds: tuple[int, int],
    oldest_first: bool,
    looked: int,
) -> None:
    """Every cursor leads on to what the page before left, whatever its size and whoever asks."""
    query, (start, stop) = parse(words, 0), sorted(bounds)
    whose = Whose(user=user, uid=1000) if user else None
    expected = [
        entry.seq
        for entry, terms in search_found(reader, query)
        if start <= entry.seq < stop and (user is None or f"own:1000:{user}" in terms)
    ]
    left: Span | None = Span(start=start, stop=stop, oldest_first=oldest_first)
    found: list[int] = []
    with patch.object(pages, "MAX_LOOKED", looked):  # a constant of the module
        for number in range(10_000):
            assert left is not None
            made = page(reader, Wanted(query=query, whose=whose, limit=limits[number % len(limits)]), left)
            found += [one.entry.seq for one in made.found]
            left = made.rest
            if left is None:
                break
    assert found == (expected if oldest_first else expected[::-1])
