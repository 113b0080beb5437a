"""What the proof found, as Markdown for people and documents."""

from collections.abc import Iterable, Mapping, Sequence

from benchmarks.learning.claims import Claim
from trainer.evaluation.bootstrap import Estimate
from trainer.evaluation.figures import Figures
from trainer.evaluation.report import Evaluation, PolicyReport

__all__ = ["claims_table", "policies_table", "table", "times_table"]

_HEAD = ("policy", "regret, vehicles", "of the warm start's", "agreement", "where clear", "yes")


def policies_table(evaluation: Evaluation) -> str:
    """A row a policy, intervals in brackets; invalid answers count as the worst decision.

    Unscored ones, which no outcome is known of, are left out of regret and agreement.
    """
    domains = sorted(evaluation.policies[0].by_domain)
    head = [*_HEAD, "strict JSON", "unscored", *(f"regret, {domain}" for domain in domains)]
    rows = [_policy_row(one, domains) for one in evaluation.policies]
    return table(head, rows)


def claims_table(found: Sequence[Claim]) -> str:
    """A row a claim."""
    rows = [
        [one.policy, one.text, f"{one.found:.3f}", "yes" if one.is_reached else "**no**"]
        for one in found
    ]
    return table(["policy", "claim", "found", "reached"], rows)


def times_table(seconds: Mapping[str, float]) -> str:
    """A row a stage; some ran side by side."""
    return table(["stage", "seconds"], [[name, f"{s:.0f}"] for name, s in seconds.items()])


def _policy_row(report: PolicyReport, domains: Sequence[str]) -> list[str]:
    overall = report.overall
    ratio = report.against.ratio if report.against else None
    return [
        report.policy,
        _number(overall.regret_veh_invalid_worst, 3),
        _number(ratio, 2),
        _share(overall.agreement),
        _share(overall.agreement_clear),
        _share(overall.yes),
        _share(overall.strict),
        str(overall.unscored),
        *(_regret_in(report.by_domain.get(domain)) for domain in domains),
    ]


def _regret_in(figures: Figures | None) -> str:
    estimate = figures.regret_veh_invalid_worst if figures else None
    return "–" if estimate is None else f"{estimate.value:.3f}"


def _number(estimate: Estimate | None, digits: int) -> str:
    if estimate is None:
        return "–"
    value = f"{estimate.value:.{digits}f}"
    if estimate.low is None or estimate.high is None:
        return value
    return f"{value} [{estimate.low:.{digits}f}, {estimate.high:.{digits}f}]"


def _share(estimate: Estimate | None) -> str:
    if estimate is None:
        return "–"
    if estimate.low is None or estimate.high is None or estimate.low == estimate.high:
        return f"{estimate.value:.0%}"
    return f"{estimate.value:.0%} [{estimate.low:.0%}, {estimate.high:.0%}]"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table in Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)
