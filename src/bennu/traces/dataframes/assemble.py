"""From spans to the rows of a dataframe, as a span query wants them. Pure.

Source: data-plane contract, section 6.1 (explode, concat, rename, index).
"""

from collections.abc import Iterator, Sequence
from typing import Any, Final

from bennu.traces.dataframes.cells import WHOLE, Cells, spread, value_at
from bennu.traces.dataframes.frame import TableWriter
from bennu.traces.dataframes.model import ConcatenationGiven, ExplosionGiven, FrameSpan, QueryGiven

_DEFAULT_INDEX: Final = "context.span_id"
_DOCUMENTS: Final = "retrieval.documents"


class Assembly:
    """One dataframe in the making.

    Args:
        query: what it is made of.
        limit_bytes: of its rows.
    """

    def __init__(self, query: QueryGiven, limit_bytes: int) -> None:
        self._query = query
        self._rename = query.rename or {}
        self._index = _DEFAULT_INDEX if query.index is None else _full_name(query.index.key)
        self._is_whole = not (query.select or query.explode or query.concat)
        index = [self._index]
        if query.explode is not None:
            is_documents = query.explode.key == _DOCUMENTS
            index.append("document_position" if is_documents else "position")
        columns = WHOLE if self._is_whole else self._named_columns()
        self.table = TableWriter(index, columns, limit_bytes)

    def _named_columns(self) -> list[str]:
        query = self._query
        names = list(query.select or ())
        for part in (query.concat, query.explode):
            if part is not None:
                names += part.kwargs
        return [self._rename.get(name, name) for name in names]

    def add(self, spans: Sequence[FrameSpan]) -> None:
        """Write the rows of some spans.

        Raises:
            TooLargeError: the rows are larger than allowed.
        """
        for span in spans:
            cells = Cells(span)
            index = cells.of_key(self._index)
            own = list(self._own_cells(cells))
            if self._query.explode is None:
                self.table.add_row([index], own)
                continue
            for position, element in enumerate(_list_at(cells, self._query.explode.key)):
                inner = self._renamed(_cells_of(element, self._query.explode))
                self.table.add_row([index, position], [*own, *inner])

    def _own_cells(self, cells: Cells) -> Iterator[tuple[str, object]]:
        query = self._query
        if self._is_whole:
            yield from self._renamed(cells.whole())
            return
        for name, projection in (query.select or {}).items():
            yield self._rename.get(name, name), cells.of_key(projection.key)
        if query.concat is not None:
            yield from self._renamed(_joined(_list_at(cells, query.concat.key), query.concat))

    def _renamed(self, cells: Iterator[tuple[str, object]]) -> Iterator[tuple[str, object]]:
        return ((self._rename.get(name, name), value) for name, value in cells)


def _full_name(key: str) -> str:
    return f"context.{key}" if key in {"span_id", "trace_id"} else key


def _list_at(cells: Cells, key: str) -> list[Any]:
    found = cells.found(key)
    return found if isinstance(found, list) else []


def _cells_of(element: object, explosion: ExplosionGiven) -> Iterator[tuple[str, object]]:
    """Yield what an element of an exploded list puts into its row."""
    if not isinstance(element, dict):
        yield explosion.key, element
    elif explosion.kwargs:
        for name, key in explosion.kwargs.items():
            yield name, value_at(element, key)
    else:
        yield from spread(element)


def _joined(elements: list[Any], given: ConcatenationGiven) -> Iterator[tuple[str, object]]:
    """Yield the texts of a list joined, by key of its elements."""
    keys = given.kwargs or {given.key: ""}
    for name, key in keys.items():
        values = (value_at(one, key) if key and isinstance(one, dict) else one for one in elements)
        texts = [value for value in values if isinstance(value, str)]
        yield name, given.separator.join(texts) if texts else None
