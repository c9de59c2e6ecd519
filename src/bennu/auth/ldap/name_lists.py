"""Lists of distinguished names and the mapping of groups to roles, in each accepted form.

Spec: lines 36, 42-46, 60, 82. Contract: section 1c.
"""

import json

from bennu.auth.ldap.names import is_distinguished_name, split_names
from bennu.kernel.env import Env

EVERYBODY_MARK = "*"


def read_names(env: Env, name: str) -> tuple[str, ...]:
    """Read one name, several split by ``;``, or a JSON array of them."""
    text = env.text(name)
    names: tuple[str, ...] | None
    names = _names_of_json(text) if text.startswith("[") else split_names(text)
    if not text:
        return ()
    if not names:
        env.refuse(name, "names split by ; or a JSON array of them, at least one")
        return ()
    wrong = [item for item in names if not is_distinguished_name(item)]
    if wrong:
        env.refuse(name, f"distinguished names such as OU=Users,DC=company,DC=com; not {wrong[0]}")
        return ()
    return names


def _names_of_json(text: str) -> tuple[str, ...] | None:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if not isinstance(found, list) or not all(isinstance(item, str) for item in found):
        return None
    return tuple(item.strip() for item in found)


def read_role_mappings(env: Env, roles: tuple[str, ...]) -> tuple[tuple[str, str], ...]:
    """Read pairs of group and role; every wrong item is a problem of its own.

    Returns:
        Pairs in the order given, roles in capitals.
    """
    name = "PHOENIX_LDAP_GROUP_ROLE_MAPPINGS"
    found = env.json(name)
    if found is None:
        return ()
    if not isinstance(found, list) or not found:
        env.refuse(name, 'a JSON array such as [{"group_dn": "CN=…", "role": "ADMIN"}]')
        return ()
    pairs: list[tuple[str, str]] = []
    for number, item in enumerate(found, start=1):
        problem = _problem_of(item, roles)
        if problem:
            env.refuse(name, f"item {number}: {problem}")
        else:
            pairs.append((item["group_dn"].strip(), item["role"].strip().upper()))
    return tuple(pairs)


def _problem_of(item: object, roles: tuple[str, ...]) -> str:
    if not isinstance(item, dict) or not all(
        isinstance(item.get(key), str) for key in ("group_dn", "role")
    ):
        return 'an object with the texts "group_dn" and "role"'
    group_dn, role = item["group_dn"].strip(), item["role"].strip().upper()
    if group_dn != EVERYBODY_MARK and not is_distinguished_name(group_dn):
        return "group_dn: a distinguished name, or * for everybody"
    return "" if role in roles else f"role: {' or '.join(roles)}"
