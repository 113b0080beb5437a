"""What Transformers hands to a callback, under short names."""

from typing import Any

from transformers import TrainerControl as Control
from transformers import TrainerState as State
from transformers import TrainingArguments as Args

__all__ = ["Args", "Control", "Logs", "State"]

Logs = dict[str, Any] | None
"""A line of metrics, which callbacks may add to."""
