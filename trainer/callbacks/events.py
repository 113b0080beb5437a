"""Short names for the arguments that Transformers passes to a callback."""

from typing import Any

from transformers import TrainerControl as Control
from transformers import TrainerState as State
from transformers import TrainingArguments as Args

__all__ = ["Args", "Control", "Logs", "State"]

Logs = dict[str, Any] | None
"""A line of metrics that callbacks may extend."""
