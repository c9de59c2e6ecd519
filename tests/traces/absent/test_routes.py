"""Lists of what Bennu does not keep are empty and valid. Contract: section 13."""

import httpx
import pytest

NOTHING = {"data": [], "next_cursor": None}


@pytest.mark.parametrize("what", ["datasets", "prompts", "experiments"])
async def test_empty_lists(client: httpx.AsyncClient, what: str) -> None:
    assert (await client.get(f"/v1/{what}", params={"limit": 100})).json() == NOTHING
    assert (await client.get(f"/v1/{what}", params={"limit": 0})).status_code == 422


async def test_there_is_no_dataset(client: httpx.AsyncClient) -> None:
    assert (await client.get("/v1/datasets/x/experiments")).status_code == 404
