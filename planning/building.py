"""``greenfork dataset planning``: writes problems, reference plans and rows into a folder."""

import json
import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import structlog

from planning.domains.constructions import Construction, least_steps
from planning.generators import DomainName, Generator, Size, domain_text, generators
from planning.judge import Judge
from planning.planners.reference import Planner
from planning.prompts import planning_prompt
from planning.records import (
    DOMAIN_FILE,
    PlanningLayout,
    PlanningManifest,
    PlanningRow,
    ProblemRecord,
    ProblemText,
    Split,
    problem_id_of,
)
from shared.domains.problem_names import ProblemName, read_problem_name, read_problem_names
from shared.errors import ConfigError, DatasetError, ProblemError
from shared.files import os_errors, sync_tree
from shared.language.plans import Step, plan_text

__all__ = ["EVAL_SHARE", "MIN_EVAL_STEPS", "PlanningBuild", "build_planning_dataset"]

EVAL_SHARE = 0.2
"""Share of a domain's problems that is held out, with sizes that do not occur in training."""
MIN_EVAL_STEPS = 6
"""Problems with shorter reference plans are not used as held-out problems."""
_TRIES = 50
"""Seeds to try for each problem wanted."""

_log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class PlanningBuild:
    """What to build."""

    out: Path
    domains: tuple[DomainName, ...] = ()
    """Domains for which to generate problems."""
    problems: int = 100
    """Number of problems for each domain."""
    seed: int = 0
    source: Path | None = None
    """A folder of the user's own problems: a subfolder per domain, with its ``domain.pddl``."""
    has_shuffled_names: bool = False
    """Whether the objects of generated problems have random numbers instead of 1, 2, …"""


@dataclass(frozen=True)
class _Drafted:
    """A problem before it has a plan."""

    folder: str
    """Folder in the dataset, one per domain."""
    name: str
    domain: str
    problem: str
    split: Split

    @property
    def file(self) -> str:
        """Where the problem will be in the dataset."""
        return f"{self.folder}/{self.name}.pddl"


def build_planning_dataset(
    build: PlanningBuild, planner: Planner | None, advance: Callable[[], None] = lambda: None
) -> PlanningManifest:
    """Builds a dataset, completely or not at all.

    Args:
        build: What to build.
        planner: Finds the reference plans; None leaves them out.
        advance: Called after each problem.

    Raises:
        ConfigError: ``out`` exists, or there is nothing to build.
        DatasetError: ``source`` contains no problems, or one cannot be read.
    """
    if build.out.exists():
        raise ConfigError(f"{build.out} exists: choose another --out, or remove it")
    drafts = list(_own(build.source) if build.source else _generated(build))
    place = build.out.with_name(f".{build.out.name}.building")
    shutil.rmtree(place, ignore_errors=True)
    with os_errors(ConfigError, f"cannot write {build.out}"):
        place.mkdir(parents=True)
        found = list(_planned(drafts, planner, advance))
        manifest = _written(place, build.seed, planner, found)
        sync_tree(place)
        place.rename(build.out)
    return manifest


def _generated(build: PlanningBuild) -> Iterator[_Drafted]:
    if not build.domains:
        raise ConfigError("nothing to build: pass --domain NAME, or --from FOLDER")
    for name in build.domains:
        generator = generators()[name]
        held_out = max(1, round(build.problems * EVAL_SHARE)) if build.problems > 1 else 0
        yield from _distinct(generator, build, "train", build.problems - held_out)
        yield from _distinct(generator, build, "eval", held_out)


def _distinct(
    generator: Generator, build: PlanningBuild, split: Split, wanted: int
) -> Iterator[_Drafted]:
    """Problems of all sizes in turn, no two of which differ only in their names."""
    sizes: tuple[Size, ...] = generator.train_sizes if split == "train" else generator.eval_sizes
    seen: set[str] = set()
    for number in range(wanted * _TRIES):
        if len(seen) == wanted:
            return
        seed = build.seed * 1_000_000 + number
        size = sizes[number % len(sizes)]
        problem = generator.problem(size, seed, build.has_shuffled_names)
        content = problem.text.replace(problem.name, "")
        if content not in seen:
            seen.add(content)
            text = domain_text(generator.domain)
            yield _Drafted(generator.domain, problem.name, text, problem.text, split)
    if len(seen) < wanted:
        raise ConfigError(
            f"{generator.domain} has only {len(seen)} different problems of the sizes for {split}, "
            f"not {wanted}: lower --problems"
        )


def _own(source: Path) -> Iterator[_Drafted]:
    """The problems in a folder; the most difficult fifth of each domain is held out."""
    folders = [source, *sorted(path for path in source.rglob("*") if path.is_dir())]
    domains = [folder for folder in folders if (folder / DOMAIN_FILE).is_file()]
    if not domains:
        raise DatasetError(
            f"{source} contains no domain: put the problems of each domain into a folder, next to "
            f"its {DOMAIN_FILE}"
        )
    for folder in domains:
        texts = sorted(file for file in folder.glob("*.pddl") if file.name != DOMAIN_FILE)
        if not texts:
            raise DatasetError(f"{folder} contains a {DOMAIN_FILE}, but no problems (*.pddl)")
        domain = (folder / DOMAIN_FILE).read_text()
        name = folder.name if folder != source else source.resolve().name
        difficulties = {file: _difficulty(f"{name}/{file.name}") for file in texts}
        ranked = sorted(texts, key=lambda file: (difficulties[file], file.name))
        held_out = set(ranked[len(ranked) - int(len(ranked) * EVAL_SHARE) :])
        for file in texts:
            split: Split = "eval" if file in held_out else "train"
            yield _Drafted(name, file.stem, domain, file.read_text(), split)


def _difficulty(name: str) -> float:
    """The difficulty given by a file's name; 0, with a warning, if the name gives none."""
    found = read_problem_name(name).difficulty
    if found is None:
        _log.warning("no readable difficulty; counted as easy", file=name)
    return 0.0 if found is None else found


def _planned(
    drafts: Sequence[_Drafted], planner: Planner | None, advance: Callable[[], None]
) -> Iterator[ProblemText]:
    """Each problem with its validated plan, without held-out problems that are solved at once."""
    workers = max(1, os.cpu_count() or 1)
    read = read_problem_names([one.file for one in drafts])
    with Judge() as judge, ThreadPoolExecutor(workers) as pool:
        solving = [
            pool.submit(planner.solve, one.domain, one.problem) if planner else None
            for one in drafts
        ]
        try:
            for draft, solved, named in zip(drafts, solving, read, strict=True):
                plan = solved.result() if solved else None
                found = _checked(draft, named, plan, judge)
                advance()
                if draft.split == "train" or not _is_short(draft, plan, planner):
                    yield found
        finally:
            for one in solving:
                if one is not None:
                    one.cancel()


def _is_short(draft: _Drafted, plan: tuple[Step, ...] | None, planner: Planner | None) -> bool:
    """Whether a problem may be solved in fewer steps than held-out problems should need."""
    if plan is None:
        return False
    needed = least_steps(draft.problem) if isinstance(planner, Construction) else len(plan)
    return needed < MIN_EVAL_STEPS


def _checked(
    draft: _Drafted, named: ProblemName, plan: tuple[Step, ...] | None, judge: Judge
) -> ProblemText:
    try:
        if plan is None:
            judge.check(draft.domain, draft.problem)
        elif not judge.judge(draft.domain, draft.problem, plan).is_valid:
            raise DatasetError(f"{draft.file}: the planner's plan does not reach the goals")
    except ProblemError as exc:
        raise DatasetError(f"{draft.file}: {exc.message}", exc.code) from exc
    record = ProblemRecord(
        problem_id=problem_id_of(draft.name, draft.domain, draft.problem),
        name=draft.name,
        pddl_domain=named.domain,
        problem_file=draft.file,
        difficulty=named.difficulty or 0.0,
        split=draft.split,
        plan=plan,
    )
    return ProblemText(record, draft.domain, draft.problem)


def _written(
    place: Path, seed: int, planner: Planner | None, problems: Sequence[ProblemText]
) -> PlanningManifest:
    layout = PlanningLayout(place)
    counts: dict[str, dict[Split, int]] = {}
    for one in problems:
        file = place / one.record.problem_file
        file.parent.mkdir(exist_ok=True)
        file.write_text(one.problem)
        file.with_name(DOMAIN_FILE).write_text(one.domain)
        own = counts.setdefault(one.record.pddl_domain, {"train": 0, "eval": 0})
        own[one.record.split] += 1
    _write_lines(layout.problems, (one.record for one in problems))
    splits: tuple[Split, ...] = ("train", "eval")
    for split in splits:
        rows = (_row(one) for one in problems if one.record.split == split)
        _write_lines(layout.rows(split), rows)
    manifest = PlanningManifest(
        greenfork=version("greenfork"),
        seed=seed,
        planner=planner.name if planner else None,
        problems=counts,
    )
    layout.manifest.write_text(json.dumps(manifest.model_dump(mode="json"), indent=1) + "\n")
    return manifest


def _row(one: ProblemText) -> PlanningRow:
    plan = one.record.plan
    return PlanningRow(
        prompt=planning_prompt(one.domain, one.problem),
        problem_id=one.record.problem_id,
        problem_file=one.record.problem_file,
        difficulty=one.record.difficulty,
        plan=plan_text(plan) if plan is not None else None,
        plan_steps=len(plan) if plan is not None else None,
    )


def _write_lines(path: Path, models: Iterable[ProblemRecord | PlanningRow]) -> None:
    path.write_text("".join(f"{one.model_dump_json(exclude_none=True)}\n" for one in models))
