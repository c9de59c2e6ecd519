"""The providers in use: those of the environment and those stored, the environment first by name.

Spec: lines 91-133, 166.
"""

import logging
from typing import Final

from bennu.auth.oauth2.settings import ProviderSettings
from bennu.auth.oauth2.stored import check_stored_provider, stored_provider_settings
from bennu.stored_settings.flow import StoredSettings
from bennu.stored_settings.model import SettingSource

logger: Final = logging.getLogger("bennu.auth.oauth2")


class ConfiguredProviders:
    """Finds providers by name; what an admin stores counts for the next sign-in."""

    def __init__(self, environment: tuple[ProviderSettings, ...], stored: StoredSettings) -> None:
        self._environment = {settings.name: settings for settings in environment}
        self._stored = stored

    async def find(self, name: str) -> ProviderSettings | None:
        """Return the provider of that name, None when there is none."""
        found = self._environment.get(name)
        if found is not None:
            return found
        return next((p for p in await self.all() if p.name == name), None)

    async def all(self) -> tuple[ProviderSettings, ...]:
        """Return every provider, in order of name."""
        found = dict(self._environment)
        for provider in await self._stored.find_providers():
            if provider.source is SettingSource.ENVIRONMENT:
                continue
            if check_stored_provider(provider.variables()):
                logger.error("oauth2.stored_provider.unusable", extra={"provider": provider.name})
                continue
            found[provider.name] = stored_provider_settings(provider)
        return tuple(found[name] for name in sorted(found))
