"""The forms that the spec prints, and that no text at all breaks the reader."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bennu.kernel.env_file import COMMAND_NOT_RUN, EnvFile, env_of


def read(text: str, **environment: str) -> dict[str, str]:
    file = EnvFile(text, "f", environment)
    assert file.problems == []
    return {name: value.text for name, value in file.values.items()}


def problems(text: str, **environment: str) -> list[tuple[str, str, str]]:
    file = EnvFile(text, "f", environment)
    return [(p.name, p.allowed, p.source) for p in file.problems]


@pytest.mark.parametrize(
    ("line", "value"),
    [
        ("A=b", "b"),
        ("A = b", "b"),
        ("\tA\t=\tb\t", "b"),
        ("export A=b", "b"),
        ("export  A = b", "b"),
        ("A=", ""),
        ("A =", ""),
        ("A = # nothing", ""),
        ("A = b # Failover DCs", "b"),
        ("A = b,c # x = y", "b,c"),
        ("A=b#c", "b#c"),
        ("A=#b", "#b"),
        ("A = Microsoft Entra ID", "Microsoft Entra ID"),
        ("A = b=c", "b=c"),
        ("A = b'c", "b'c"),
        ("A = '#b'", "#b"),
        ("A = 'b' # comment", "b"),
        ('A = "b" # comment', "b"),
        ('A = "b # c"', "b # c"),
        ("A = ' b '", "b"),
        ("A = '${B} $(c) `d` \\\\'", "${B} $(c) `d` \\\\"),
        ('A = "b \\"c\\" \\\\ \\$ \\` \\n \\,"', 'b "c" \\ $ ` \\n \\,'),
        ("A = CN=Smith\\, John\\\\", "CN=Smith\\, John\\\\"),
        ("A = \\${B}", "${B}"),
        ("A = $B", "$B"),
        ("A = $", "$"),
        ('A = \'[\n{"x": "y"},\n{}\n]\'', '[\n{"x": "y"},\n{}\n]'),
        ('A = "x\ny"', "x\ny"),
        ("\ufeffA = b", "b"),
        ("A = b\r\n# c\r\n", "b"),
        ("A = b\n\n  # c\nA = d", "d"),
    ],
)
def test_every_printed_form_is_read(line: str, value: str) -> None:
    assert read(line) == {"A": value}


@pytest.mark.parametrize("reference", ["${B}", "${ B }", '"${ B }"', '"${B}"'])
def test_a_reference_takes_an_earlier_line_before_the_environment(reference: str) -> None:
    assert read(f"B = 'x y'\nA = {reference}", B="from outside")["A"] == "x y"
    assert read(f"A = {reference}", B="from outside")["A"] == "from outside"


def test_a_replaced_value_is_not_replaced_again() -> None:
    assert read("B = '${C}$(d)'\nA = x${B}y")["A"] == "x${C}$(d)y"


def test_a_later_line_is_not_seen_by_a_reference() -> None:
    assert problems("A = ${B}\nB = c") == [
        ("A", "B must be set in an earlier line or in the environment", "f:1")
    ]


def test_every_undefined_reference_is_named() -> None:
    found = problems("X = 1\nA = ${B}-${ C }")
    assert [(name, source) for name, _, source in found] == [("A", "f:2"), ("A", "f:2")]
    assert "B must be set" in found[0][1]
    assert "C must be set" in found[1][1]


def test_a_reference_to_an_unusable_line_is_reported_at_that_line_only() -> None:
    assert [name for name, _, _ in problems("A = $(x)\nB = ${A}")] == ["A"]
    assert "B" not in EnvFile("A = $(x)\nB = ${A}", "f", {}).values


@pytest.mark.asvs("1.2.5")
@pytest.mark.parametrize("value", ["$( openssl rand -base64 32 )", '"$(x)"', "a$(b)c", "`x`"])
def test_a_command_is_never_run_and_points_to_init(value: str) -> None:
    assert problems(f"\nA = {value}") == [("A", COMMAND_NOT_RUN, "f:2")]
    assert "bennu init" in COMMAND_NOT_RUN


@pytest.mark.parametrize(
    ("text", "name", "word"),
    [
        ("A = 'b", "A", "closed"),
        ('A = "b\\"', "A", "closed"),
        ("A = 'b' c", "A", "comment behind"),
        ("A = ${B", "A", "closed reference"),
        ("A = ${B-c}", "A", "one variable"),
        ("A = ${}", "A", "one variable"),
        ("PHOENIX_SECRET hunter2", "PHOENIX_SECRET", "NAME = value"),
        ("hunter2", "(line)", "NAME = value"),
        ("1A = b", "(line)", "NAME = value"),
        ("= b", "(line)", "NAME = value"),
    ],
)
def test_a_line_that_cannot_be_read_is_named(text: str, name: str, word: str) -> None:
    (found,) = problems(text)
    assert found[0] == name
    assert word in found[1]
    assert "hunter2" not in str(EnvFile(text, "f", {}).problems)


def test_reading_goes_on_behind_a_line_that_cannot_be_read() -> None:
    file = EnvFile("A = 'open\nB = 1\nC = $(x)\nD = 2\nE = 'a' b\nF = 3", "f", {})
    assert {name: value.text for name, value in file.values.items()} == {
        "B": "1",
        "D": "2",
        "F": "3",
    }
    assert [(p.name, p.source) for p in file.problems] == [("A", "f:1"), ("C", "f:3"), ("E", "f:5")]


def test_a_forgotten_quote_does_not_swallow_the_next_setting() -> None:
    file = EnvFile("A = 'open\nPHOENIX_B = 1\nC = 'c'\nPHOENIX_D = \"x\nPHOENIX_E = \"", "f", {})
    assert {name: value.text for name, value in file.values.items()} == {"PHOENIX_B": "1", "C": "c"}
    assert [(p.name, p.source) for p in file.problems] == [
        ("A", "f:1"),
        ("PHOENIX_D", "f:4"),
        ("PHOENIX_E", "f:5"),
    ]


def test_lines_behind_a_value_of_several_lines_keep_their_numbers() -> None:
    assert EnvFile("A = '[\n\n]'\nB = c", "f", {}).values["B"].source == "f:4"


def test_the_environment_wins_over_the_file() -> None:
    env = env_of({"A": "outside"}, EnvFile("A = inside\nB = b", "f", {}))
    assert (env.raw("A"), env.source_of("A")) == ("outside", "environment")
    assert (env.raw("B"), env.source_of("B")) == ("b", "f:2")


def test_the_environment_makes_good_for_a_line_that_cannot_be_read() -> None:
    environment = {"A": "outside"}
    assert env_of(environment, EnvFile("A = $(x)", "f", environment)).problems == []


def test_a_line_that_cannot_be_read_counts_as_set() -> None:
    env = env_of({}, EnvFile("A = $(x)", "f", {}))
    assert env.is_set("A")
    assert env.raw("A") is None
    assert list(env.known_names("A")) == ["A"]


@pytest.mark.parametrize(
    ("text", "value"),
    [("'a'", "a"), ('"a"', "a"), (" a ", "a"), ("''", ""), ("'", "'"), ("'a\"", "'a\""),
     ("\"'a'\"", "'a'"), ("${B}", "${B}")],
)  # fmt: skip
def test_one_pair_of_outer_quotes_of_the_environment_is_stripped(text: str, value: str) -> None:
    assert env_of({"A": text}).raw("A") == value


def test_a_reference_to_the_environment_is_stripped_too() -> None:
    assert read("A = ${B}", B="'x'")["A"] == "x"


@given(st.text(max_size=200))
def test_no_text_breaks_the_reader(text: str) -> None:
    file = EnvFile(text, "f", {})
    for problem in file.problems:
        assert problem.allowed
        line = int(problem.source.removeprefix("f:"))
        assert 1 <= line <= text.count("\n") + 1


@given(st.text(alphabet="A=\"'$(){}`\\# \n\tb", max_size=60))
def test_no_mixture_of_special_characters_breaks_the_reader(text: str) -> None:
    file = EnvFile(text, "f", {"A": "x"})
    assert not {p.name for p in file.problems} & {"", None}


LINE = st.text(
    alphabet=st.characters(
        blacklist_categories=("Cs", "Cc"), blacklist_characters="\x85\u2028\u2029"
    )
)


@given(text=LINE.filter(lambda text: "'" not in text), has_comment=st.booleans())
def test_whatever_stands_in_single_quotes_comes_back_trimmed(
    text: str, *, has_comment: bool
) -> None:
    comment = " # ${X} $(y) '" if has_comment else ""
    assert read(f"A = '{text}'{comment}\nB = c") == {"A": text.strip(), "B": "c"}


@given(LINE)
def test_whatever_is_escaped_in_double_quotes_comes_back_trimmed(text: str) -> None:
    escaped = "".join(f"\\{c}" if c in '"\\$`' else c for c in text)
    assert read(f'A = "{escaped}"\nB = c') == {"A": text.strip(), "B": "c"}


@given(st.from_regex(r"[A-Za-z0-9+/=_.:;,@%-]{0,80}", fullmatch=True))
def test_a_plain_value_reads_alike_without_and_with_quotes(text: str) -> None:
    assert read(f"A={text}") == read(f"A='{text}'") == read(f'A = "{text}"') == {"A": text}
