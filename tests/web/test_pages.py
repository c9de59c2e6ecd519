"""Templates, addresses and where one may be led."""

from bennu.kernel.errors import DeniedError, FieldProblem, SchemaError
from bennu.kernel.ids import SystemEntropy
from bennu.network.form_tokens import FormTokens
from bennu.web.assets import Assets
from bennu.web.pages import Pages, problems_of

PAGES = Pages(Assets(), FormTokens(SystemEntropy()), "/bennu")


def test_addresses_stand_under_the_root_path() -> None:
    assert PAGES.address("/projects") == "/bennu/projects"
    assert (
        PAGES.address("/login", returnUrl="/a?b=c&d") == "/bennu/login?returnUrl=%2Fa%3Fb%3Dc%26d"
    )
    assert PAGES.address("/login", returnUrl="", other=None) == "/bennu/login"
    assert PAGES.address('/projects/"<x>?#') == "/bennu/projects/%22%3Cx%3E%3F%23"


def test_problems_stand_beside_their_fields() -> None:
    problem = FieldProblem(("body", "user", "email"), "Input should be an e-mail address")
    assert problems_of(SchemaError(problem)) == {"email": "Input should be an e-mail address"}
    assert problems_of(DeniedError("No")) == {"": "No"}
