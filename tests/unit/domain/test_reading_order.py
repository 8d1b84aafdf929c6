from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from app.domain.reading_order import ReadingItem, Urgency, reading_key

AT = datetime(2026, 1, 1, tzinfo=UTC)
ITEMS = st.builds(
    ReadingItem,
    st.sampled_from(["positive", "negative", "indeterminate", None]),
    st.none() | st.floats(0, 1),
    st.integers(0, 100).map(lambda minutes: AT + timedelta(minutes=minutes)),
    st.text("abc", min_size=1, max_size=4),
)


def test_positive_films_come_first_and_negative_ones_last() -> None:
    films = [
        ReadingItem("negative", 0.4, AT, "negative"),
        ReadingItem(None, None, AT, "refused"),
        ReadingItem("positive", 0.6, AT, "positive"),
        ReadingItem("indeterminate", 0.5, AT, "indeterminate"),
    ]

    ordered = [item.name for item in sorted(films, key=reading_key)]

    assert ordered == ["positive", "refused", "indeterminate", "negative"]


def test_what_has_no_answer_is_never_taken_for_negative() -> None:
    assert ReadingItem(None, None, AT, "x").urgency is Urgency.NEEDS_EYES


@given(st.lists(ITEMS, unique_by=lambda item: item.name))
def test_the_order_does_not_depend_on_where_films_stood_before(items: list[ReadingItem]) -> None:
    backwards = list(reversed(items))

    assert sorted(items, key=reading_key) == sorted(backwards, key=reading_key)


@given(ITEMS, ITEMS)
def test_a_larger_probability_and_a_longer_wait_are_never_behind_in_a_group(one: ReadingItem, two: ReadingItem) -> None:
    if one.urgency is two.urgency and one.probability is not None and two.probability is not None:
        ahead = one.probability > two.probability or (one.probability == two.probability and one.since < two.since)
        assert not ahead or reading_key(one) < reading_key(two)
