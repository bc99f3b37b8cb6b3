"""Settings: the environment and ``.env``, read once. Printing them shows no secret."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from pydantic import Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from flexkit.errors import CredentialError, UsageError

_SHAPES = {
    "TWILIO_ACCOUNT_SID": "AC and 32 hexadecimal digits",
    "TWILIO_API_KEY": "SK and 32 hexadecimal digits (the secret beside it is TWILIO_API_SECRET)",
    "TWILIO_REGION": "a short name such as ie1",
    "TWILIO_EDGE": "a name such as dublin",
}


class Settings(BaseSettings):
    """What flexkit takes from the environment. Secrets are `SecretStr`: their repr is ``**********``."""

    model_config = SettingsConfigDict(env_file=".env", env_file_encoding="utf-8", extra="ignore", frozen=True)

    twilio_account_sid: str | None = Field(default=None, pattern=r"^AC[0-9a-fA-F]{32}$")
    twilio_api_key: str | None = Field(default=None, pattern=r"^SK[0-9a-fA-F]{32}$")
    twilio_api_secret: SecretStr | None = None
    twilio_auth_token: SecretStr | None = None
    twilio_region: str | None = Field(default=None, pattern=r"^[a-z]{2}\d$")
    twilio_edge: str | None = Field(default=None, pattern=r"^[a-z][a-z-]{1,30}$")
    flexkit_data: str | None = None
    flexkit_pseudonym_key: SecretStr | None = None
    flexkit_twilio_base_url: str | None = None

    def credentials(self) -> tuple[str, str, str]:
        """User name, password and account SID for Twilio, or an error that names the missing variable."""
        if self.twilio_account_sid is None:
            msg = (
                "TWILIO_ACCOUNT_SID is not set. Set it and TWILIO_API_KEY with TWILIO_API_SECRET "
                "(or TWILIO_AUTH_TOKEN) in the environment or in .env."
            )
            raise CredentialError(msg)
        if self.twilio_api_key is not None:
            if self.twilio_api_secret is None:
                msg = "TWILIO_API_KEY is set but TWILIO_API_SECRET is not. Set both."
                raise CredentialError(msg)
            return self.twilio_api_key, self.twilio_api_secret.get_secret_value(), self.twilio_account_sid
        if self.twilio_auth_token is not None:
            return self.twilio_account_sid, self.twilio_auth_token.get_secret_value(), self.twilio_account_sid
        msg = (
            "No Twilio credentials: set TWILIO_API_KEY with TWILIO_API_SECRET, or TWILIO_AUTH_TOKEN, "
            "beside TWILIO_ACCOUNT_SID."
        )
        raise CredentialError(msg)


def read_settings() -> Settings:
    """The settings as the environment has them now; a malformed one is named, its value never shown."""
    try:
        return Settings()
    except ValidationError as error:
        names = sorted({str(item["loc"][0]).upper() for item in error.errors()})
        told = ", ".join(f"{name} (must be {_SHAPES[name]})" if name in _SHAPES else name for name in names)
        msg = f"Malformed setting: {told}. Correct it in the environment or in .env."
        raise UsageError(msg) from None


@cache
def settings() -> Settings:
    """The settings, read once per process."""
    return read_settings()


def data_folder() -> Path | None:
    """The folder that FLEXKIT_DATA names, if it is set."""
    chosen = settings().flexkit_data
    return Path(chosen) if chosen else None
