"""``/v1/retention_policies`` and a project's policy: decode, call the flow, encode.

Spec: lines 262-264. Source: contract, PATCH /v1/projects/{project_identifier}/retention.
"""

from typing import Any, Literal

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from bennu.access import Permission
from bennu.audit.events import EventName
from bennu.httpio.request import caller_of, json_of, path_value
from bennu.httpio.respond import empty_answer, json_answer, time_text
from bennu.httpio.route import Route
from bennu.kernel.errors import FieldProblem, SchemaError
from bennu.privacy.policies import Foreseen, PolicyShown, RetentionPolicies, rule_of
from bennu.privacy.retention import DEFAULT_ROW, Policy, PolicyDraft, Rule

_DEFAULT_CRON = "0 0 * * 0"


class RuleBody(msgspec.Struct, omit_defaults=True):
    """What is kept; a number of 0 keeps everything."""

    type: Literal["max_days", "max_count", "max_days_or_count"]
    max_days: float | None = None
    max_count: int | None = None


class CreatePolicyBody(msgspec.Struct):
    """A new policy; it runs weekly unless it says when."""

    name: str
    rule: RuleBody
    cron_expression: str = _DEFAULT_CRON


class ChangePolicyBody(msgspec.Struct):
    """What changes; absent fields stay."""

    name: str | msgspec.UnsetType = msgspec.UNSET
    rule: RuleBody | msgspec.UnsetType = msgspec.UNSET
    cron_expression: str | msgspec.UnsetType = msgspec.UNSET


class PolicyAnswered(msgspec.Struct):
    """A policy as clients see it."""

    id: str
    name: str
    cron_expression: str
    rule: RuleBody
    is_default: bool
    project_count: int
    created_at: str
    updated_at: str
    last_run_at: str | None
    next_run_at: str | None


class PolicyAnswer(msgspec.Struct):
    """One policy."""

    data: PolicyAnswered


class PolicyListAnswer(msgspec.Struct):
    """Every policy, the default first."""

    data: list[PolicyAnswered]


class AssignPolicyBody(msgspec.Struct):
    """The policy that a project follows from now on; null for the default one."""

    policy_id: str | None


class AssignedPolicy(msgspec.Struct):
    """A project and its policy."""

    project_id: str
    policy_id: str | None


class AssignedPolicyAnswer(msgspec.Struct):
    """A project's own policy."""

    data: AssignedPolicy


class FollowedPolicy(msgspec.Struct):
    """A project, its own policy if it has one, and the one that counts."""

    project_id: str
    policy_id: str | None
    name: str
    cron_expression: str
    rule: RuleBody


class FollowedPolicyAnswer(msgspec.Struct):
    """How long the traces of a project are kept."""

    data: FollowedPolicy


class ForeseenDeletion(msgspec.Struct):
    """What a sweep would delete in a project now."""

    project_id: str
    project_name: str
    policy_id: str
    policy_name: str
    cutoff_utc: str | None
    traces: int
    spans: int
    held_traces: int


class PreviewAnswer(msgspec.Struct):
    """What sweeps would delete now, project by project."""

    data: list[ForeseenDeletion]


def foreseen_document(found: Foreseen) -> ForeseenDeletion:
    """Return what a sweep would delete, as it is shown."""
    return ForeseenDeletion(
        project_id=found.project.public_id,
        project_name=found.project.name,
        policy_id=found.policy.public_id,
        policy_name=found.policy.name,
        cutoff_utc=None if found.cutoff_at is None else time_text(found.cutoff_at),
        traces=found.traces,
        spans=found.spans,
        held_traces=found.held_traces,
    )


class _RetentionHandlers:
    def __init__(self, flow: RetentionPolicies) -> None:
        self._flow = flow

    def _shown(self, shown: PolicyShown) -> PolicyAnswered:
        policy = shown.policy
        next_run = self._flow.next_run_of(policy)
        return PolicyAnswered(
            id=policy.public_id,
            name=policy.name,
            cron_expression=policy.cron_expression,
            rule=_rule_shown(policy.rule),
            is_default=policy.is_default,
            project_count=shown.project_count,
            created_at=time_text(policy.created_at),
            updated_at=time_text(policy.updated_at),
            last_run_at=None if policy.last_run_at is None else time_text(policy.last_run_at),
            next_run_at=None if next_run is None else time_text(next_run),
        )

    async def listing(self, request: Request) -> Response:
        found = await self._flow.list_policies(caller_of(request))
        return json_answer(PolicyListAnswer([self._shown(one) for one in found]))

    async def get(self, request: Request) -> Response:
        found = await self._flow.one_policy(caller_of(request), path_value(request, "policy_id"))
        return json_answer(PolicyAnswer(self._shown(found)))

    async def create(self, request: Request) -> Response:
        body = await json_of(request, CreatePolicyBody)
        draft = PolicyDraft(body.name, body.cron_expression, _rule(body.rule))
        made = await self._flow.create_policy(caller_of(request), draft)
        return json_answer(PolicyAnswer(self._shown(made)), 201)

    async def change(self, request: Request) -> Response:
        body = await json_of(request, ChangePolicyBody)
        changes: dict[str, Any] = {
            name: value
            for name in ("name", "cron_expression", "rule")
            if (value := getattr(body, name)) is not msgspec.UNSET
        }
        if "rule" in changes:
            changes["rule"] = _rule(changes["rule"])
        identifier = path_value(request, "policy_id")
        changed = await self._flow.change_policy(caller_of(request), identifier, changes)
        return json_answer(PolicyAnswer(self._shown(changed)))

    async def delete(self, request: Request) -> Response:
        await self._flow.delete_policy(caller_of(request), path_value(request, "policy_id"))
        return empty_answer()

    async def assign(self, request: Request) -> Response:
        body = await json_of(request, AssignPolicyBody)
        project, policy = await self._flow.assign_policy(
            caller_of(request), path_value(request, "project"), body.policy_id
        )
        policy_id = None if policy is None else policy.public_id
        return json_answer(AssignedPolicyAnswer(AssignedPolicy(project.public_id, policy_id)))

    async def followed(self, request: Request) -> Response:
        project, own, policy = await self._flow.policy_of_project(
            caller_of(request), path_value(request, "project")
        )
        return json_answer(
            FollowedPolicyAnswer(
                FollowedPolicy(
                    project.public_id,
                    _id_of(own),
                    policy.name,
                    policy.cron_expression,
                    _rule_shown(policy.rule),
                )
            )
        )

    async def preview(self, request: Request) -> Response:
        found = await self._flow.foresee(caller_of(request))
        return json_answer(PreviewAnswer([foreseen_document(one) for one in found]))


def _id_of(policy: Policy | None) -> str | None:
    return None if policy is None or policy.row_id == DEFAULT_ROW else policy.public_id


def _rule_shown(rule: Rule) -> RuleBody:
    return RuleBody(**rule.shown())


def _rule(body: RuleBody) -> Rule:
    """Read a rule; its type says which numbers it has.

    Raises:
        SchemaError: a number is missing, or one too many.
    """
    wanted = {
        "max_days": body.type != "max_count",
        "max_count": body.type != "max_days",
    }
    for name, is_wanted in wanted.items():
        if (getattr(body, name) is not None) is not is_wanted:
            text = f"{'given' if is_wanted else 'absent'}, because the type is {body.type}"
            raise SchemaError(FieldProblem(("body", "rule", name), text))
    return rule_of(body.max_days, body.max_count)


def retention_routes(flow: RetentionPolicies) -> tuple[Route, ...]:
    """Return the routes of retention policies."""
    handlers = _RetentionHandlers(flow)
    return (*_policy_routes(handlers), *_project_routes(handlers))


def _policy_routes(handlers: _RetentionHandlers) -> tuple[Route, ...]:
    return (
        Route(
            method="GET",
            path="/v1/retention_policies",
            handler=handlers.listing,
            permission=Permission.RETENTION_MANAGE,
            summary="Every retention policy, the default first",
            response=PolicyListAnswer,
            tags=("retention",),
        ),
        Route(
            method="POST",
            path="/v1/retention_policies",
            handler=handlers.create,
            permission=Permission.RETENTION_MANAGE,
            summary="Make a retention policy",
            request=CreatePolicyBody,
            response=PolicyAnswer,
            status=201,
            events=(EventName.RETENTION_CHANGED,),
            errors=(409,),
            tags=("retention",),
        ),
        Route(
            method="GET",
            path="/v1/retention_policies/{policy_id}",
            handler=handlers.get,
            permission=Permission.RETENTION_MANAGE,
            summary="One retention policy",
            response=PolicyAnswer,
            tags=("retention",),
        ),
        Route(
            method="PATCH",
            path="/v1/retention_policies/{policy_id}",
            handler=handlers.change,
            permission=Permission.RETENTION_MANAGE,
            summary="Change a retention policy; it takes effect at once",
            request=ChangePolicyBody,
            response=PolicyAnswer,
            events=(EventName.RETENTION_CHANGED,),
            errors=(409,),
            tags=("retention",),
        ),
        Route(
            method="DELETE",
            path="/v1/retention_policies/{policy_id}",
            handler=handlers.delete,
            permission=Permission.RETENTION_MANAGE,
            summary="Delete a retention policy; its projects follow the default one",
            status=204,
            events=(EventName.RETENTION_CHANGED,),
            tags=("retention",),
        ),
    )


def _project_routes(handlers: _RetentionHandlers) -> tuple[Route, ...]:
    return (
        Route(
            method="GET",
            path="/v1/retention/preview",
            handler=handlers.preview,
            permission=Permission.RETENTION_MANAGE,
            summary="What sweeps would delete now; nothing is changed",
            response=PreviewAnswer,
            tags=("retention",),
        ),
        Route(
            method="GET",
            path="/v1/projects/{project}/retention",
            handler=handlers.followed,
            permission=Permission.PROJECTS_READ,
            summary="How long the traces of a project are kept",
            response=FollowedPolicyAnswer,
            tags=("projects",),
        ),
        Route(
            method="PATCH",
            path="/v1/projects/{project}/retention",
            handler=handlers.assign,
            permission=Permission.RETENTION_MANAGE,
            summary="Let a project follow a retention policy, or the default one",
            request=AssignPolicyBody,
            response=AssignedPolicyAnswer,
            events=(EventName.RETENTION_CHANGED,),
            tags=("projects",),
        ),
    )
