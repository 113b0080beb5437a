"""The elements that SUMO 1.28 knows in its input and state files, and their attributes.

Taken from the schemas that come with SUMO (``net_file.xsd``, ``routes_file.xsd``,
``additional_file.xsd``, ``state_file.xsd``, ``meandata_file.xsd``), and from its manual where they
say less. SUMO looks at an element's name, not at its position. Elements that can have the
same attributes are listed together; attributes of car-following models, which a ``<vType>`` can
have as well, are listed with the models only.
"""

from functools import cache
from pathlib import Path

__all__ = ["known_attributes"]

_TABLE = Path(__file__).with_suffix(".txt")
"""Elements and, after a colon, their attributes; indented lines continue an entry."""


@cache
def known_attributes() -> dict[str, frozenset[str]]:
    """The attributes of each element."""
    found: dict[str, frozenset[str]] = {}
    for entry in _TABLE.read_text().replace("\n  ", " ").splitlines():
        names, _, attributes = entry.partition(":")
        found |= dict.fromkeys(names.split(), frozenset(attributes.split()))
    models = [known for name, known in found.items() if name.startswith("carFollowing-")]
    return found | {"vType": found["vType"].union(*models)}
