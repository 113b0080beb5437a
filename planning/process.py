"""``python -m planning.process FD``: parses PDDL and validates plans, one question at a time.

Whatever a text makes it do, it has limits: the kernel limits its memory, and
:class:`planning.judge.Judge` kills it when its time is up.
"""

import random
import resource
import sys
from collections import OrderedDict
from multiprocessing.connection import Connection
from pathlib import Path

from planning.messages import Question, Verdict
from planning.problems import PlanningProblem
from shared.errors import InvalidDecision, OutOfMemory, ProblemError, RolloutError
from shared.wire.error_info import ErrorInfo

__all__ = ["main"]

_MEMORY_BYTES = 2**30
_STAYING_BYTES = 640 * 2**20
"""unified-planning keeps all that it has parsed, so a process that reaches this size ends."""
_KEPT = 1024
"""Most parsed problems that are kept for further questions, about 60 KB each: enough for those of a
training, so that each is parsed once."""


def main(line: Connection) -> None:
    """Answers until the other end is closed or the process has grown too large."""
    kept: OrderedDict[tuple[str, str], PlanningProblem] = OrderedDict()
    line.send_bytes(b"ready")
    while _resident_bytes() < _STAYING_BYTES:
        try:
            question = Question.model_validate_json(line.recv_bytes())
        except EOFError:
            return
        line.send_bytes(_answered(question, kept).model_dump_json().encode())


def _resident_bytes() -> int:
    """Of this process as it is now: ``ru_maxrss`` begins with that of whoever started it."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def _answered(question: Question, kept: OrderedDict[tuple[str, str], PlanningProblem]) -> Verdict:
    try:
        return _verdict(question, kept)
    except InvalidDecision as exc:
        return Verdict(error=ErrorInfo.of(exc), about="plan")
    except ProblemError as exc:
        return Verdict(error=ErrorInfo.of(exc), about="problem")
    except RolloutError as exc:
        return Verdict(error=ErrorInfo.of(exc))
    except RecursionError:
        error = ProblemError("the problem is nested too deeply", "too_deep")
        return Verdict(error=ErrorInfo.of(error), about="problem")
    except MemoryError:
        words = "parsing the problem takes more memory than allowed"
        return Verdict(error=ErrorInfo.of(OutOfMemory(words)))


def _verdict(question: Question, kept: OrderedDict[tuple[str, str], PlanningProblem]) -> Verdict:
    texts = question.domain, question.problem
    problem = kept.pop(texts, None) or PlanningProblem(*texts)
    kept[texts] = problem
    while len(kept) > _KEPT:
        kept.popitem(last=False)
    match question.verb:
        case "judge":
            return Verdict(metrics=problem.metrics(question.steps))
        case "walk":
            chance = random.Random(question.seed)  # noqa: S311 - no secret
            return Verdict(walk=problem.walk(chance.choice, question.most))
        case "check":
            return Verdict()


if __name__ == "__main__":
    resource.setrlimit(resource.RLIMIT_DATA, (_MEMORY_BYTES, _MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    main(Connection(int(sys.argv[1])))
