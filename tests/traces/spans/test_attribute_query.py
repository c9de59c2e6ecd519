"""The ways in which a dotted key can lie in JSON; the SQL itself is tested in test_query.py."""

from bennu.traces.spans.attribute_query import paths_to


def test_every_way_once() -> None:
    assert list(paths_to(("a",))) == [("a",)]
    assert list(paths_to(("a", "b"))) == [("a", "b"), ("a.b",)]
    assert sorted(paths_to(("a", "b", "c"))) == [
        ("a", "b", "c"),
        ("a", "b.c"),
        ("a.b", "c"),
        ("a.b.c",),
    ]


def test_the_number_of_ways_grows_with_the_length_only() -> None:
    ways = list(paths_to(tuple("abcdefghijklmnop")))
    assert len(ways) == len(set(ways)) == 30
