"""What the commands of ``greenfork train`` share."""

__all__ = ["assignments"]


def assignments(pairs: list[str]) -> dict[str, object]:
    """``name=value`` pairs, values read as YAML.

    Raises:
        ConfigError: A pair is none.
    """
    import yaml

    from shared.errors import ConfigError

    values: dict[str, object] = {}
    for pair in pairs:
        name, equals, text = pair.partition("=")
        if not equals or not name:
            raise ConfigError(f"--set {pair!r}: expected name=value")
        try:
            values[name.strip().replace("-", "_")] = yaml.safe_load(text)
        except yaml.YAMLError as exc:
            raise ConfigError(f"--set {pair!r}: the value is not YAML") from exc
    return values
