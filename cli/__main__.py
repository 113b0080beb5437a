"""``python -m cli``: the same as ``greenfork``."""

from cli.main import app

__all__: list[str] = []

if __name__ == "__main__":
    app()
