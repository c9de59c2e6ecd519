"""Annotation configs and their assignment to projects. Contract: section 9."""

from typing import Any

import httpx
import pytest

from bennu.access import ADMIN, VIEWER
from bennu.kernel.ids import global_id
from bennu.storage.database import Database
from fakes.principals import key_for_projects, user_with_role
from fakes.stored import Stored

PATH = "/v1/annotation_configs"
CATEGORICAL: dict[str, Any] = {
    "name": "quality",
    "type": "CATEGORICAL",
    "optimization_direction": "MAXIMIZE",
    "values": [{"label": "good", "score": 1}, {"label": "bad"}],
}
CONTINUOUS: dict[str, Any] = {
    "name": "score",
    "type": "CONTINUOUS",
    "description": "d",
    "optimization_direction": "NONE",
    "lower_bound": 0,
    "upper_bound": 1,
}
FREEFORM: dict[str, Any] = {"name": "free", "type": "FREEFORM"}


@pytest.fixture
def stored(database: Database) -> Stored:
    return Stored(database)


async def create(client: httpx.AsyncClient, **config: Any) -> dict[str, Any]:
    answer = await client.post(PATH, json=config)
    assert answer.status_code == 200, answer.text
    made: dict[str, Any] = answer.json()["data"]
    return made


async def test_each_type_comes_back_whole(client: httpx.AsyncClient, stored: Stored) -> None:
    one = await create(client, **CATEGORICAL)
    assert one == {
        **CATEGORICAL,
        "description": None,
        "values": [{"label": "good", "score": 1.0}, {"label": "bad", "score": None}],
        "id": global_id("CategoricalAnnotationConfig", 1),
    }
    two = await create(client, **CONTINUOUS)
    assert two == {**CONTINUOUS, "id": global_id("ContinuousAnnotationConfig", 2)}
    three = await create(client, **FREEFORM)
    assert three == {
        **FREEFORM,
        "description": None,
        "optimization_direction": None,
        "threshold": None,
        "lower_bound": None,
        "upper_bound": None,
        "id": global_id("FreeformAnnotationConfig", 3),
    }
    for name in ("quality", one["id"]):
        assert (await client.get(f"{PATH}/{name}")).json() == {"data": one}
    page = (await client.get(PATH, params={"limit": 2})).json()
    assert page["data"] == [three, two]
    page = (await client.get(PATH, params={"limit": 2, "cursor": page["next_cursor"]})).json()
    assert page == {"data": [one], "next_cursor": None}
    assert await stored.events() == ["annotation_config.created"] * 3


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({"name": "quality"}, 409),
        ({"name": "note"}, 409),
        ({"name": " "}, 422),
        ({"name": ""}, 422),
        ({"name": "x" * 1001}, 422),
        ({"type": "OTHER"}, 422),
        ({"type": None}, 422),
        ({"optimization_direction": "UP"}, 422),
        ({"values": []}, 422),
        ({"values": [{"label": ""}]}, 422),
        ({"values": [{"label": "a"}, {"label": "a"}]}, 422),
        ({"values": [{"label": "a", "score": "high"}]}, 422),
        ({"type": "CONTINUOUS", "lower_bound": 1, "upper_bound": 1}, 422),
        ({"type": "FREEFORM", "threshold": "x"}, 422),
    ],
)
async def test_what_is_refused(
    client: httpx.AsyncClient, changes: dict[str, Any], status: int
) -> None:
    await create(client, **CATEGORICAL)
    body = {**CATEGORICAL, "name": "another", **changes}
    assert (await client.post(PATH, json=body)).status_code == status


async def test_replace_and_delete(client: httpx.AsyncClient, stored: Stored) -> None:
    one = await create(client, **CATEGORICAL)
    await create(client, **FREEFORM)
    answer = await client.put(f"{PATH}/{one['id']}", json=CONTINUOUS)
    changed = answer.json()["data"]
    assert (changed["name"], changed["type"]) == ("score", "CONTINUOUS")
    assert changed["id"] == global_id("ContinuousAnnotationConfig", 1)
    assert (await client.put(f"{PATH}/{one['id']}", json=FREEFORM)).status_code == 409
    assert (await client.put(f"{PATH}/nope", json=CATEGORICAL)).status_code == 404
    # The id of before the change of type still leads to it.
    assert (await client.get(f"{PATH}/{one['id']}")).json()["data"] == changed
    assert (await client.delete(f"{PATH}/score")).json()["data"] == changed
    assert (await client.delete(f"{PATH}/score")).status_code == 404
    assert (await client.get(f"{PATH}/score")).status_code == 404
    assert (await stored.events())[2:] == ["annotation_config.changed", "annotation_config.deleted"]


async def test_a_bad_cursor(client: httpx.AsyncClient) -> None:
    for cursor in ("zzz", global_id("Project", 1)):
        assert (await client.get(PATH, params={"cursor": cursor})).status_code == 422


async def test_assignment(client: httpx.AsyncClient, stored: Stored) -> None:
    await stored.project("demo")
    one, two = await create(client, **CATEGORICAL), await create(client, **FREEFORM)
    path = "/v1/projects/demo/annotation_configs"
    assert (await client.put(f"{path}/quality")).json() == {"data": one}
    assert (await client.put(f"{path}/{one['id']}")).status_code == 200
    assert (await client.get(path)).json() == {"data": [one], "next_cursor": None}
    body = {"annotation_config_ids": [two["id"], "quality", two["id"]]}
    assert (await client.put(path, json=body)).json()["data"] == [two, one]
    assert (await client.delete(f"{path}/free")).status_code == 204
    assert (await client.delete(f"{path}/free")).status_code == 404
    assert (await client.get(path)).json()["data"] == [one]
    for bad in ({"annotation_config_ids": ["nope"]}, {"annotation_config_ids": [one["id"], "x"]}):
        assert (await client.put(path, json=bad)).status_code == 404
    many = {"annotation_config_ids": ["quality"] * 1001}
    assert (await client.put(path, json=many)).status_code == 422
    assert (await client.get(path)).json()["data"] == [one]
    assert (await client.put("/v1/projects/nope/annotation_configs/quality")).status_code == 404
    assert (await client.put(path, json={"annotation_config_ids": []})).json()["data"] == []
    assert (await stored.events())[2:] == ["annotation_config.assigned"] * 5


# --- who may -------------------------------------------------------------------------------


async def test_viewers_read_only(client: httpx.AsyncClient, stored: Stored, door: Any) -> None:
    await stored.project("demo")
    await create(client, **CATEGORICAL)
    door.principal = user_with_role(VIEWER)
    assert (await client.get(PATH)).status_code == 200
    assert (await client.get("/v1/projects/demo/annotation_configs")).status_code == 200
    assert (await client.post(PATH, json=FREEFORM)).status_code == 403
    assert (await client.delete(f"{PATH}/quality")).status_code == 403
    assert (await client.put("/v1/projects/demo/annotation_configs/quality")).status_code == 403


async def test_a_restricted_key_sees_what_its_projects_have_and_changes_none(
    client: httpx.AsyncClient, stored: Stored, door: Any
) -> None:
    mine = await stored.project("mine")
    await stored.project("theirs")
    for config in (CATEGORICAL, FREEFORM):
        await create(client, **config)
    await client.put("/v1/projects/mine/annotation_configs/quality")
    door.principal = key_for_projects(mine, role=ADMIN)
    assert [one["name"] for one in (await client.get(PATH)).json()["data"]] == ["quality"]
    assert (await client.get(f"{PATH}/quality")).status_code == 200
    for hidden in ("free", global_id("FreeformAnnotationConfig", 2)):
        assert (await client.get(f"{PATH}/{hidden}")).status_code == 404
        assert (
            await client.put(f"/v1/projects/mine/annotation_configs/{hidden}")
        ).status_code == 404
    assert (await client.get("/v1/projects/theirs/annotation_configs")).status_code == 404
    assert (await client.post(PATH, json=CONTINUOUS)).status_code == 403
    assert (await client.put(f"{PATH}/quality", json=CONTINUOUS)).status_code == 403
    assert (await client.delete(f"{PATH}/quality")).status_code == 403
