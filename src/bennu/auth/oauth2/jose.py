"""The one registry of signatures here: which names there are, and how long headers may be.

Source: RFC 7515, RFC 9864 (Ed25519 as the name of what was EdDSA).
"""

from typing import Any

from joserfc.jws import JWSRegistry


class Registry(JWSRegistry):
    """Long headers may come, with certificates that nobody looks at; two names of one algorithm."""

    max_header_length = 8192

    def get_alg(self, name: str) -> Any:  # noqa: ANN401 - a private type of the library
        """Return the algorithm; EdDSA is the older name of Ed25519 and is refused if not listed."""
        if name == "EdDSA" and self.allowed and name in self.allowed:
            return self.algorithms["Ed25519"]
        return super().get_alg(name)
