"""What is wrong with a file, folder or setting that a command was given."""

from shared.errors.root import GreenforkError

__all__ = [
    "ConfigError",
    "DatasetError",
    "FidelityError",
    "InputError",
    "ModelError",
    "ProblemError",
    "ScenarioError",
    "StateFileError",
]


class InputError(GreenforkError):
    """A file, folder or setting that a command was given is unusable."""

    code = "bad_input"
    http_status = 422


class ScenarioError(InputError):
    """A SUMO configuration that does not exist, is incomplete, or cannot be used."""

    code = "bad_scenario"


class StateFileError(InputError):
    """A state file that is damaged, or was written by another SUMO version."""

    code = "bad_state_file"


class DatasetError(InputError):
    """A folder or file that is not a dataset, or one that would be overwritten."""

    code = "not_a_dataset"


class ModelError(InputError):
    """A language model that does not exist or cannot be loaded."""

    code = "model_not_found"


class ConfigError(InputError):
    """A settings file or option that does not validate."""

    code = "bad_config"


class ProblemError(InputError):
    """A planning domain or problem that cannot be read; the message names the line."""

    code = "bad_pddl"


class FidelityError(InputError):
    """What would be run differs from the user's own simulation."""

    code = "other_simulation"
