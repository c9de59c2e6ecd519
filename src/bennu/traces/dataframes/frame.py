"""Writes a dataframe as the JSON table that pandas reads: a schema, then the rows. Pure.

The place of a column is settled when it is first seen, so that rows can be written at once; what
type it has is known only at the end, and the schema is written then.

Source: data-plane contract, section 6.1; pandas, Table Schema ("orient='table'").
"""

from collections.abc import Iterable, Sequence
from tempfile import SpooledTemporaryFile
from typing import Any, Final

from bennu.kernel.errors import TooLargeError
from bennu.traces.dataframes.cells import Time
from bennu.traces.spans.attributes import encode_value

#: Larger tables are kept in a file without a name while they are made.
_IN_MEMORY_BYTES: Final = 8 * 1024 * 1024
_PANDAS_VERSION: Final = "1.4.0"
_INTEGERS: Final = range(-(2**63), 2**63)


class _Column:
    """The name of a column and what was seen in it."""

    __slots__ = ("kinds", "label", "name")

    def __init__(self, place: int, name: str) -> None:
        self.name = f"{place}_{name}"
        self.label = encode_value(self.name) + b":"
        self.kinds: set[str] = set()

    def field(self, row_count: int, cell_count: int) -> dict[str, str]:
        """Return what the schema says of it; a column with gaps takes types that have gaps."""
        is_full = cell_count == row_count
        kinds = self.kinds
        if kinds == {"text"}:
            return {"name": self.name, "type": "string", "extDtype": "str"}
        if kinds == {"time"}:
            return {"name": self.name, "type": "datetime", "tz": "UTC"}
        if kinds == {"integer"} and is_full:
            return {"name": self.name, "type": "integer"}
        if kinds and kinds <= {"integer", "number"}:
            return {"name": self.name, "type": "number"}
        if kinds == {"boolean"} and is_full:
            return {"name": self.name, "type": "boolean"}
        # Anything: pandas keeps the values as they are.
        return {"name": self.name, "type": "string"}


def _kind_of(value: object) -> str:
    if isinstance(value, Time):
        return "time"
    if isinstance(value, str):
        return "text"
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int) and value in _INTEGERS:
        return "integer"
    return "number" if isinstance(value, float) else "object"


class TableWriter:
    """Takes rows and gives back the JSON of the table.

    Args:
        index: names of the index, which are the first columns.
        columns: names of further columns that are there even without rows.
        limit_bytes: of all rows together.
    """

    def __init__(self, index: Sequence[str], columns: Sequence[str], limit_bytes: int) -> None:
        self._index = tuple(index)
        self._columns: list[_Column] = []
        self._counts: list[int] = []
        self._places: dict[str, int] = {}
        self._rows = 0
        self._limit_bytes = limit_bytes
        self.size_bytes = 0
        # Closed with the writer; it holds what the answer holds.
        self._written = SpooledTemporaryFile(max_size=_IN_MEMORY_BYTES)  # noqa: SIM115
        for name in self._index:
            self._add(name)
        for name in columns:
            self._place_of(name)

    def _add(self, name: str) -> int:
        self._columns.append(_Column(len(self._columns), name))
        self._counts.append(0)
        return len(self._columns) - 1

    def _place_of(self, name: str) -> int:
        place = self._places.get(name)
        if place is None:
            place = self._places[name] = self._add(name)
        return place

    def add_row(self, index: Sequence[object], cells: Iterable[tuple[str, object]]) -> None:
        """Write one row; of cells of one name the last counts, None is a gap.

        Raises:
            TooLargeError: all rows together are larger than allowed. It is seen at the cell, since
                a single row may repeat a large value in each of its columns.
        """
        found: dict[int, object] = dict(enumerate(index))
        for name, value in cells:
            found[self._place_of(name)] = value
        parts = []
        for place, value in found.items():
            column = self._columns[place]
            if value is not None:
                column.kinds.add(_kind_of(value))
                self._counts[place] += 1
            written = value.text if isinstance(value, Time) else value
            part = column.label + encode_value(written)
            self.size_bytes += len(part)
            if self.size_bytes > self._limit_bytes:
                raise TooLargeError(
                    "The dataframes are too large: ask for fewer spans, fewer columns or a "
                    "shorter time"
                )
            parts.append(part)
        self._written.write((b",{" if self._rows else b"{") + b",".join(parts) + b"}")
        self._rows += 1

    def chunks(self, size_bytes: int = 65_536) -> Iterable[bytes]:
        """Yield the JSON of the whole table, piece by piece, and let go of it."""
        fields: list[dict[str, Any]] = [
            column.field(self._rows, count)
            for column, count in zip(self._columns, self._counts, strict=True)
        ]
        schema = {
            "fields": fields,
            "primaryKey": [column.name for column in self._columns[: len(self._index)]],
            "pandas_version": _PANDAS_VERSION,
        }
        yield b'{"schema":' + encode_value(schema) + b',"data":['
        self._written.seek(0)
        while piece := self._written.read(size_bytes):
            yield piece
        yield b"]}"
        self.close()

    def close(self) -> None:
        """Let go of what was written."""
        self._written.close()
