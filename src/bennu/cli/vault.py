"""The vault for commands: opened with the secrets at hand, which a command never makes.

Spec: lines 156-163.
"""

from bennu.encryption.cipher import Cipher
from bennu.encryption.key_source import KEY_FILE_NAME, KeyFileError
from bennu.encryption.vault import Vault
from bennu.kernel.clock import SystemClock
from bennu.kernel.hardening import forbid_core_dumps
from bennu.kernel.ids import SystemEntropy
from bennu.secrets_in_use import key_file_of, key_source_of
from bennu.settings import Settings


def open_vault(settings: Settings) -> Vault:
    """Make the vault from the secrets at hand; a command makes no key file.

    From here on the process holds keys, so it leaves no memory dump behind.

    Raises:
        KeyFileError: there is neither a secret nor a key file.
    """
    forbid_core_dumps()
    key_file = key_file_of(settings)
    if settings.encryption.secret is None and not (key_file and key_file.exists()):
        raise KeyFileError(
            f"There is neither PHOENIX_SECRET nor a key file {key_file or KEY_FILE_NAME}; "
            "nothing can be opened"
        )
    entropy = SystemEntropy()
    keyring = key_source_of(settings, entropy).key_material().keyring()
    return Vault(Cipher(keyring), SystemClock(), entropy)
