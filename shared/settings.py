"""The base of the settings classes: one per process, frozen, unknown keys refused."""

from pydantic_settings import BaseSettings, SettingsConfigDict

__all__ = ["ProcessSettings"]


class ProcessSettings(BaseSettings):
    """Settings of one process, from its constructor, then the environment, then defaults."""

    model_config = SettingsConfigDict(
        frozen=True, extra="forbid", use_attribute_docstrings=True, env_ignore_empty=True
    )
