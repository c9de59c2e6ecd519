"""Settings, Retention: policies, which projects follow them, and what the next sweep deletes.

Spec: lines 262-264.
"""

from collections.abc import Sequence
from math import isfinite
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response

from bennu.access import Permission
from bennu.audit.events import EventName
from bennu.httpio.request import caller_of, path_value
from bennu.httpio.respond import status_of
from bennu.httpio.route import Route
from bennu.kernel.errors import AppError, FieldProblem, SchemaError
from bennu.privacy.policies import Foreseen, PolicyShown, RetentionPolicies
from bennu.privacy.retention import PolicyDraft, Rule
from bennu.web.forms import Form
from bennu.web.pages import Pages, problems_of

_PATH: Final = "/settings/retention"
_ONE: Final = _PATH + "/{policy_id}"
_LONGEST_NUMBER: Final = 9
_HOURLY: Final = "0 * * * *"


class _RetentionPages:
    def __init__(self, pages: Pages, policies: RetentionPolicies) -> None:
        self._pages, self._policies = pages, policies

    async def listing(self, request: Request) -> Response:
        """All policies, and what the next sweep deletes of each project."""
        return await self._show_all(request)

    async def _show_all(
        self,
        request: Request,
        status: int = 200,
        error: AppError | None = None,
        sent: Form | None = None,
    ) -> Response:
        caller = caller_of(request)
        shown = await self._policies.list_policies(caller)
        return self._pages.show(
            request,
            "retention.html",
            status,
            rows=[self._row(one) for one in shown],
            foreseen=_rows_of(await self._policies.foresee(caller)),
            form=_typed(sent),
            errors={} if error is None else problems_of(error),
        )

    def _row(self, shown: PolicyShown) -> dict[str, Any]:
        policy = shown.policy
        return {
            "id": policy.public_id,
            "name": policy.name,
            "rule": _rule_words(policy.rule),
            "cron": policy.cron_expression,
            "projects": shown.project_count,
            "is_default": policy.is_default,
            "last_run_at": policy.last_run_at,
            "next_run_at": self._policies.next_run_of(policy),
        }

    async def create(self, request: Request) -> Response:
        """Make a policy."""
        form = await self._pages.form(request)
        try:
            await self._policies.create_policy(caller_of(request), _draft(form))
        except AppError as error:
            return await self._show_all(request, status_of(error), error, form)
        return self._pages.go(_PATH, done="created")

    async def assign(self, request: Request) -> Response:
        """Let a project follow a policy."""
        form = await self._pages.form(request)
        project, policy = form.text("project"), form.optional("policy")
        await self._policies.assign_policy(caller_of(request), project, policy)
        return self._pages.go(_PATH, done="changed")

    # --- one policy ----------------------------------------------------------------------------

    async def one(self, request: Request) -> Response:
        """The form of a policy."""
        return await self._show_one(request)

    async def _show_one(
        self,
        request: Request,
        status: int = 200,
        error: AppError | None = None,
        sent: Form | None = None,
    ) -> Response:
        shown = await self._policies.one_policy(caller_of(request), _id_in(request))
        policy = shown.policy
        form = _typed(sent)
        if sent is None:
            form = {
                "name": policy.name,
                "max_days": f"{policy.rule.max_days:g}",
                "max_count": str(policy.rule.max_count),
                "cron_expression": policy.cron_expression,
            }
        return self._pages.show(
            request,
            "retention_policy.html",
            status,
            row=self._row(shown),
            form=form,
            errors={} if error is None else problems_of(error),
        )

    async def change(self, request: Request) -> Response:
        """Change a policy; a sweep starts at once."""
        form = await self._pages.form(request)
        try:
            draft = _draft(form)
            changes: dict[str, Any] = {"cron_expression": draft.cron_expression, "rule": draft.rule}
            if draft.name:
                changes["name"] = draft.name
            await self._policies.change_policy(caller_of(request), _id_in(request), changes)
        except AppError as error:
            return await self._show_one(request, status_of(error), error, form)
        return self._pages.go(_PATH, done="changed")

    async def delete(self, request: Request) -> Response:
        """Delete a policy; its projects follow the default one."""
        await self._pages.form(request)
        await self._policies.delete_policy(caller_of(request), _id_in(request))
        return self._pages.go(_PATH, done="deleted")


def _id_in(request: Request) -> str:
    return path_value(request, "policy_id")


def _rows_of(foreseen: Sequence[Foreseen]) -> list[dict[str, Any]]:
    return [
        {
            "project": one.project.name,
            "project_id": one.project.public_id,
            "policy_id": one.policy.public_id,
            "traces": one.traces,
            "spans": one.spans,
            "held": one.held_traces,
        }
        for one in sorted(foreseen, key=lambda one: one.project.name)
    ]


def _rule_words(rule: Rule) -> str:
    if rule.keeps_everything:
        return "keeps everything"
    parts = []
    if rule.max_days:
        parts.append(f"{rule.max_days:g} days")
    if rule.max_count:
        parts.append(f"the newest {rule.max_count:,} traces")
    return "keeps " + " and at most ".join(parts)


def _typed(sent: Form | None) -> dict[str, str]:
    names = ("name", "max_days", "max_count", "cron_expression")
    if sent is None:
        return {**dict.fromkeys(names, ""), "cron_expression": _HOURLY}
    return {name: sent.text(name) for name in names}


def _draft(form: Form) -> PolicyDraft:
    days, count = form.text("max_days") or "0", form.text("max_count") or "0"
    try:
        max_days = float(days)
    except ValueError:
        max_days = -1.0
    if not isfinite(max_days) or max_days < 0:
        raise SchemaError(FieldProblem(("body", "max_days"), "A number of days, such as 90"))
    if not (count.isascii() and count.isdecimal() and len(count) <= _LONGEST_NUMBER):
        raise SchemaError(FieldProblem(("body", "max_count"), "A whole number, such as 10000"))
    cron = form.text("cron_expression") or _HOURLY
    return PolicyDraft(form.text("name"), cron, Rule(max_days, int(count)))


def retention_page_routes(pages: Pages, policies: RetentionPolicies) -> tuple[Route, ...]:
    """Return the routes of the pages of retention."""
    of = _RetentionPages(pages, policies)
    events = (EventName.RETENTION_CHANGED,)
    needed = Permission.RETENTION_MANAGE
    table = (
        Route(
            method="GET",
            path=_PATH,
            handler=of.listing,
            permission=needed,
            summary="The page of retention policies",
        ),
        Route(
            method="POST",
            path=_PATH,
            handler=of.create,
            permission=needed,
            summary="Make a retention policy by the form of the page",
            status=303,
            events=events,
        ),
        Route(
            method="POST",
            path="/settings/retention-of-project",
            handler=of.assign,
            permission=needed,
            summary="Let a project follow a retention policy by the form of the page",
            status=303,
            events=events,
        ),
        Route(
            method="GET",
            path=_ONE,
            handler=of.one,
            permission=needed,
            summary="The page of one retention policy",
        ),
        Route(
            method="POST",
            path=_ONE,
            handler=of.change,
            permission=needed,
            summary="Change a retention policy by the form of the page",
            status=303,
            events=events,
        ),
        Route(
            method="POST",
            path=_ONE + "/delete",
            handler=of.delete,
            permission=needed,
            summary="Delete a retention policy by the form of the page",
            status=303,
            events=events,
        ),
    )
    return tuple(pages.as_page(route) for route in table)
