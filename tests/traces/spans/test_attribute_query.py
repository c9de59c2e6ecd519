"""The ways in which a dotted key can lie in JSON; the SQL itself is tested in test_query.py."""

from bennu.traces.spans.attribute_query import paths_to, sqlite_paths


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


def test_each_number_is_a_key_or_a_position() -> None:
    assert sqlite_paths(("a", "b")) == ('$."a"."b"',)
    assert sqlite_paths(("docs", "0", "tags", "1")) == (
        '$."docs"."0"."tags"."1"',
        '$."docs"."0"."tags"[1]',
        '$."docs"[0]."tags"."1"',
        '$."docs"[0]."tags"[1]',
    )
    assert sqlite_paths(("a", "4294967296", "-1")) == ('$."a"."4294967296"."-1"',)


def test_many_numbers_do_not_make_many_paths() -> None:
    paths = sqlite_paths(("r", "0", "1", "2", "3", "4", "n"))
    assert len(paths) == len(set(paths)) == 8
    assert '$."r"[0][1][2][3][4]."n"' in paths
    assert '$."r"."0"."1"."2"."3"."4"."n"' in paths
