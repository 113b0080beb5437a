"""``python -m greenfork``: the same as ``greenfork``."""

from greenfork.main import app

__all__: list[str] = []

if __name__ == "__main__":
    app()
