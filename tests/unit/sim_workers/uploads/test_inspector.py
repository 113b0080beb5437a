"""What an upload is answered, whatever went wrong with it."""

from pathlib import Path

import pytest

from shared.errors import GreenforkError, HolderLost, OutOfMemory, RolloutRejected, StateFileError
from sim_workers.uploads import inspector as intake
from sim_workers.uploads.inspector import IntakeAnswer, IntakeRequest


@pytest.mark.parametrize(
    ("raised", "code"),
    [
        (OutOfMemory("x"), "too_large"),
        (MemoryError(), "too_large"),
        (RolloutRejected("x"), "sumo_refused"),
        (HolderLost("x"), "sumo_refused"),
        (StateFileError("x", "state_of_other_version"), "state_of_other_version"),
    ],
)
def test_failure_becomes_a_code(raised: GreenforkError | MemoryError, code: str) -> None:
    """That says whether the upload is too large, refused by SUMO, or wrong by itself."""

    def take() -> IntakeAnswer:
        raise raised

    request = IntakeRequest(upload=Path("u"), folder=Path("f"))
    error = intake._answer(request, take).error
    assert error is not None
    assert error.code == code


def test_own_paths_are_not_told() -> None:
    """The uploader knows the upload's files by their names in it."""

    def take() -> IntakeAnswer:
        raise StateFileError("/data/f/unpacked/a.xml names /data/f/b.xml")

    request = IntakeRequest(upload=Path("u"), folder=Path("/data/f"))
    error = intake._answer(request, take).error
    assert error is not None
    assert error.message == "a.xml names b.xml"
