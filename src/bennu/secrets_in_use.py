"""From the settings to the secrets of this deployment: the keys, their file, their ages.

The server, the commands and the doctor all ask here, so that they cannot disagree.

Spec: lines 158-163 (keys), 245-250 (what to rotate on a schedule).
"""

from pathlib import Path

from bennu.encryption.file_modes import file_mode_warning, files_open_to_others, sqlite_files
from bennu.encryption.key_source import KEY_FILE_NAME, KeySource, choose_key_source
from bennu.kernel.ids import Entropy
from bennu.kernel.secret import Secret
from bennu.settings import Settings


def key_file_of(settings: Settings) -> Path | None:
    """Return where the key file is or would be; None for a database in memory."""
    storage = settings.storage
    if storage.sqlite_path is not None:
        return storage.sqlite_path.parent / KEY_FILE_NAME
    return None if storage.dialect == "sqlite" else storage.working_dir / KEY_FILE_NAME


def key_source_of(settings: Settings, entropy: Entropy) -> KeySource:
    """Return where the secrets come from that everything is sealed under."""
    encryption = settings.encryption
    return choose_key_source(encryption.secret, encryption.previous, key_file_of(settings), entropy)


def environment_secrets(settings: Settings) -> dict[str, Secret]:
    """Return every secret that the environment gives and that has an age, by variable name.

    Secrets on their way out, and the first password, which is to be changed at once, have none.
    """
    postgres, ldap = settings.storage.postgres, settings.ldap
    found = {
        "PHOENIX_SECRET": settings.encryption.secret,
        "PHOENIX_ADMIN_SECRET": settings.auth.admin_secret,
        "PHOENIX_POSTGRES_PASSWORD": None if postgres is None else postgres.password,
        "PHOENIX_POSTGRES_SSLPASSWORD": None if postgres is None else postgres.sslpassword,
        "PHOENIX_LDAP_BIND_PASSWORD": None if ldap is None else ldap.bind_password,
        "PHOENIX_LDAP_TLS_CLIENT_KEY_FILE_PASSWORD": None
        if ldap is None
        else ldap.tls_client_key_password,
        "PHOENIX_SMTP_PASSWORD": settings.mail.password,
        "PHOENIX_TLS_KEY_FILE_PASSWORD": settings.tls.key_file_password,
        "PHOENIX_PROMETHEUS_TOKEN": settings.monitoring.token,
        "PHOENIX_RATE_LIMIT_STORAGE_URL": settings.network.rate_limit_storage_url,
    }
    for provider in settings.oauth2:
        found[f"PHOENIX_OAUTH2_{provider.name.upper()}_CLIENT_SECRET"] = provider.client_secret
    return {name: secret for name, secret in found.items() if secret}


def exposed_file_warnings(settings: Settings, env_file: Path | None = None) -> tuple[str, ...]:
    """Return one sentence for each file with secrets or data that others can read or change."""
    storage, tls, ldap = settings.storage, settings.tls, settings.ldap
    postgres = storage.postgres
    keys = (
        env_file,
        key_file_of(settings),
        tls.key_file,
        None if ldap is None else ldap.tls_client_key_file,
        None if postgres is None else postgres.sslkey,
        *(provider.private_key_file for provider in settings.oauth2),
    )
    databases = () if storage.sqlite_path is None else sqlite_files(storage.sqlite_path)
    paths = (*(path for path in keys if path is not None), *databases)
    return tuple(file_mode_warning(path) for path in files_open_to_others(paths))
