"""Pictures of numbers stay inside their frame."""

from hypothesis import given
from hypothesis import strategies as st

from bennu.web.pictures import HEIGHT, WIDTH, bars_of


@given(st.lists(st.integers(0, 10**12), max_size=40))
def test_bars_fit(values: list[int]) -> None:
    bars = bars_of(values)
    assert [bar.value for bar in bars] == values
    for bar in bars:
        assert 0 <= bar.x <= WIDTH
        assert 0 < bar.height <= HEIGHT
        assert bar.y + bar.height == HEIGHT


def test_the_largest_fills_the_height_and_little_is_seen() -> None:
    small, large, none = bars_of([1, 10_000, 0])
    assert large.height == HEIGHT - 1
    assert small.height == 2
    assert none.height == 1
