from sqlalchemy import Integer, LargeBinary, Text
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.schema import CreateIndex, CreateTable

from bennu.storage.schema import metadata

#: PostgreSQL cuts longer names off without a word.
LONGEST_NAME_BYTES = 63


def test_both_databases_can_say_it() -> None:
    for dialect in (sqlite.dialect(), postgresql.dialect()):
        for table in metadata.sorted_tables:
            assert str(CreateTable(table).compile(dialect=dialect))
            for index in table.indexes:
                assert str(CreateIndex(index).compile(dialect=dialect))


def test_every_table_has_a_key_and_names_that_fit() -> None:
    names = []
    for table in metadata.sorted_tables:
        assert table.primary_key.columns, table.name
        names += [table.name, *(str(index.name) for index in table.indexes)]
        names += [str(c.name) for c in table.constraints if c.name is not None]
    assert not [name for name in names if len(name) > LONGEST_NAME_BYTES]
    assert len(set(names)) == len(names)


def test_row_ids_hold_64_bits_and_alias_the_row_on_sqlite() -> None:
    for table in metadata.sorted_tables:
        if "id" in table.columns and table.c.id.autoincrement is True:
            kind = table.c.id.type
            assert isinstance(kind.dialect_impl(sqlite.dialect()), Integer)
            assert kind.compile(dialect=sqlite.dialect()) == "INTEGER"
            assert kind.compile(dialect=postgresql.dialect()) == "BIGINT"


def test_times_are_whole_numbers() -> None:
    for table in metadata.sorted_tables:
        for column in table.columns:
            if column.name.endswith(("_at", "_ns", "_until")):
                assert isinstance(column.type, Integer), f"{table.name}.{column.name}"


def test_a_sealed_value_is_a_text() -> None:
    sealed = [
        column
        for table in metadata.sorted_tables
        for column in table.columns
        if column.info.get("sealed")
    ]
    assert sealed
    assert all(isinstance(column.type, Text) for column in sealed)


def test_foreign_keys_have_the_type_of_what_they_point_to() -> None:
    for table in metadata.sorted_tables:
        for key in table.foreign_keys:
            for dialect in (sqlite.dialect(), postgresql.dialect()):
                mine, theirs = key.parent.type, key.column.type
                assert mine.compile(dialect=dialect) == theirs.compile(dialect=dialect)


def test_what_an_erased_user_leaves_is_decided() -> None:
    for table in metadata.sorted_tables:
        for key in table.foreign_keys:
            assert key.ondelete in {"CASCADE", "SET NULL"}, f"{table.name}.{key.parent.name}"


def test_payloads_are_bytes() -> None:
    spans = metadata.tables["spans"]
    assert isinstance(spans.c.attributes.type, LargeBinary)
    assert isinstance(spans.c.events.type, LargeBinary)
