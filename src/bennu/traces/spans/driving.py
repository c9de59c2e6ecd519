"""Which index a list is read by, chosen by asking the data instead of trusting estimates.

A list walks an index that gives its order and stops after a page; the other conditions are looked
at row by row. Where one of them is met by few rows, walking could go through everything before a
page is full: then these few are read by their own index and sorted. Whether they are few is asked
first, at a bounded cost. Columns of the conditions that must not choose an index are hidden from
the planner in a term.

Source: SQLite, Query Planner (disqualifying terms); measurements in docs/performance.md.
"""

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from sqlalchemy import ColumnElement, Connection, Table, and_, func, or_, select

#: So many rows are read and sorted in a few milliseconds; where more match, a walk over an index
#: of 1,000,000 rows meets a page of them within 100,000.
FEW: Final = 1_000
_MOST_QUERIES: Final = 20


class Facet(NamedTuple):
    """One condition of a list that has an index.

    Args:
        plain: the condition, for the index; of several values one condition each.
        hidden: the same, as one condition, so that no index is chosen for it.
        gives_order: whether walking its index gives the order of the list, for each value.
    """

    plain: tuple[ColumnElement[bool], ...]
    hidden: ColumnElement[bool]
    gives_order: bool = False


class Plan(NamedTuple):
    """How to read a list.

    Args:
        conditions: one set per query; the list is what all queries find together.
        is_walk: whether an index gives the order; otherwise what is found is sorted.
    """

    conditions: tuple[tuple[ColumnElement[bool], ...], ...]
    is_walk: bool


def hidden_number(column: ColumnElement[Any]) -> ColumnElement[Any]:
    """Return a number column in a term that no index covers."""
    return column + 0


def hidden_text(column: ColumnElement[str]) -> ColumnElement[str]:
    """Return a text column in a term that no index covers."""
    return column + ""


def value_facet(column: ColumnElement[str], values: Sequence[str], *, gives_order: bool) -> Facet:
    """Return the condition that a text column has one of the values.

    An index gives the order only within one value, so a walk takes one query per value.
    """
    wanted = tuple(dict.fromkeys(values))
    return Facet(
        plain=tuple(column == value for value in wanted),
        hidden=hidden_text(column).in_(wanted),
        gives_order=gives_order and len(wanted) <= _MOST_QUERIES,
    )


def range_facet(
    column: ColumnElement[int], lowest: int | None, highest: int | None, *, gives_order: bool
) -> Facet:
    """Return the condition that a number column lies within bounds, both inclusive."""

    def within(term: ColumnElement[int]) -> ColumnElement[bool]:
        return and_(
            *([] if lowest is None else [term >= lowest]),
            *([] if highest is None else [term <= highest]),
        )

    return Facet((within(column),), within(hidden_number(column)), gives_order)


def plan_list(
    connection: Connection,
    table: Table,
    base: ColumnElement[bool],
    facets: Sequence[Facet],
    rest: Sequence[ColumnElement[bool]] = (),
) -> Plan:
    """Decide by which condition a list is read.

    Args:
        connection: to ask with.
        table: whose rows are listed.
        base: holds for the whole list; every index begins with it.
        facets: further conditions; those after the first that is met by few are not asked about.
        rest: conditions that no index covers.
    """
    driving = next((n for n, facet in enumerate(facets) if facet.gives_order), None)
    if len(facets) + len(rest) > 1 or (facets and driving is None):
        for place, facet in enumerate(facets):
            if _is_few(connection, table, base, facet):
                others = [f.hidden for n, f in enumerate(facets) if n != place]
                return Plan(((base, or_(*facet.plain), *others, *rest),), is_walk=False)
    others = [f.hidden for n, f in enumerate(facets) if n != driving]
    walked = ((),) if driving is None else tuple((plain,) for plain in facets[driving].plain)
    return Plan(tuple((base, *plain, *others, *rest) for plain in walked), is_walk=True)


def _is_few(connection: Connection, table: Table, base: ColumnElement[bool], facet: Facet) -> bool:
    some = select(table.c.id).where(base, or_(*facet.plain)).limit(FEW + 1).subquery()
    count: int = connection.execute(select(func.count()).select_from(some)).scalar_one()
    return count <= FEW
