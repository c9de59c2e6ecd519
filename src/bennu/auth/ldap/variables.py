"""The names of the directory's settings and what they mean.

Spec: lines 24-90.
"""

from typing import Final

from bennu.kernel.env import Variable

VARIABLES: Final = (
    Variable(
        "PHOENIX_LDAP_HOST",
        "comma list of hosts",
        "",
        "The directory servers, tried in this order; `host:port` where one differs.",
        28,
    ),
    Variable(
        "PHOENIX_LDAP_PORT",
        "whole number",
        "389; 636 with ldaps",
        "The port of the servers that name none.",
        29,
    ),
    Variable(
        "PHOENIX_LDAP_TLS_MODE",
        "starttls, ldaps or none",
        "starttls",
        "How the connection is encrypted; `none` sends passwords in plain text.",
        30,
    ),
    Variable(
        "PHOENIX_LDAP_TLS_VERIFY",
        "flag",
        "true",
        "Whether the certificate of the server is checked.",
        31,
    ),
    Variable(
        "PHOENIX_LDAP_TLS_CA_CERT_FILE",
        "file",
        "",
        "Private authorities that the server's certificate is checked against.",
        85,
    ),
    Variable(
        "PHOENIX_LDAP_TLS_CLIENT_CERT_FILE",
        "file",
        "",
        "The certificate shown to the server; given with its key.",
        87,
    ),
    Variable(
        "PHOENIX_LDAP_TLS_CLIENT_KEY_FILE", "file", "", "The private key of that certificate.", 89
    ),
    Variable(
        "PHOENIX_LDAP_TLS_CLIENT_KEY_FILE_PASSWORD",
        "text",
        "",
        "The password of that key, if it is encrypted.",
        secret=True,
    ),
    Variable(
        "PHOENIX_LDAP_BIND_DN",
        "name",
        "",
        "The service account that searches; without it the search is anonymous.",
        33,
    ),
    Variable(
        "PHOENIX_LDAP_BIND_PASSWORD", "text", "", "The password of that account.", 34, secret=True
    ),
    Variable(
        "PHOENIX_LDAP_USER_SEARCH_BASE_DNS",
        "names",
        "",
        "Where people are searched: one name, several split by `;`, or a JSON array.",
        36,
    ),
    Variable(
        "PHOENIX_LDAP_USER_SEARCH_FILTER",
        "filter",
        "(&(objectClass=user)(sAMAccountName=%s))",
        "Finds one person; `%s` stands for the login name.",
        37,
    ),
    Variable(
        "PHOENIX_LDAP_ATTR_EMAIL",
        "attribute",
        "mail",
        "Holds the email; `null` when people have none there.",
        39,
    ),
    Variable(
        "PHOENIX_LDAP_ATTR_DISPLAY_NAME",
        "attribute",
        "displayName",
        "Holds the name that is shown.",
        40,
    ),
    Variable(
        "PHOENIX_LDAP_ATTR_MEMBER_OF",
        "attribute",
        "memberOf",
        "Holds the groups of a person; empty for no groups.",
        41,
    ),
    Variable(
        "PHOENIX_LDAP_ATTR_UNIQUE_ID",
        "attribute",
        "",
        "Identifies a person for ever, such as objectGUID or entryUUID.",
        66,
    ),
    Variable(
        "PHOENIX_LDAP_GROUP_SEARCH_BASE_DNS",
        "names",
        "",
        "Where groups are searched; written like the bases of people.",
        82,
    ),
    Variable(
        "PHOENIX_LDAP_GROUP_SEARCH_FILTER",
        "filter",
        "",
        "Finds the groups of a person: `%s` is the login name, `%d` the person's DN.",
        83,
    ),
    Variable(
        "PHOENIX_LDAP_GROUP_SEARCH_FILTER_USER_ATTR",
        "attribute",
        "the login name",
        "The attribute of the person that `%s` of the group filter stands for.",
    ),
    Variable(
        "PHOENIX_LDAP_GROUP_ROLE_MAPPINGS",
        "JSON array",
        "",
        "Groups and their roles; the first that matches counts, `*` matches everybody, and who "
        "matches none may not sign in.",
        43,
    ),
    Variable(
        "PHOENIX_LDAP_DEFAULT_ROLE",
        "ADMIN, MEMBER or VIEWER",
        "VIEWER",
        "The role of everybody when there are no mappings.",
    ),
    Variable(
        "PHOENIX_LDAP_ALLOW_SIGN_UP",
        "flag",
        "true",
        "Whether people without an account get one at their first sign-in.",
        47,
    ),
    Variable(
        "PHOENIX_LDAP_SYNC_INTERVAL_MINUTES",
        "whole number",
        "60",
        "Minutes between two comparisons of accounts with the directory; 0 never.",
    ),
)
