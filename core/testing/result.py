"""What checks found: one Check each, a Result of all of them, and the error that names the first that failed.

Every Result of a process is kept in ``RESULTS``, for the summary that core.testing.plugin prints.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any

from core.errors import CheckError

FORMAT = "core.testing/1"  # of what ``Result.to_json`` writes; a change that readers would notice changes the number


class Outcome(StrEnum):
    """passed; failed; refused by the op, as it may; not tried, and why; failed, or passed, against expectation."""

    PASSED = "passed"
    FAILED = "failed"
    REFUSED = "refused"
    SKIPPED = "skipped"
    EXPECTED = "expected failure"
    UNEXPECTED = "unexpected pass"


BAD = (Outcome.FAILED, Outcome.UNEXPECTED)


@dataclass(frozen=True)
class Check:
    """One check of one case.  ``detail`` says why it did not pass, or what else is worth knowing."""

    name: str
    case: str
    outcome: Outcome
    detail: str = ""

    def __str__(self) -> str:
        return f"{self.name} ({self.case}) {self.outcome}" + (f": {self.detail}" if self.detail else "")


@dataclass
class Result:
    """All checks of one subject: an op, a rewrite, a backend or a plugin."""

    subject: str
    checks: list[Check] = field(default_factory=list)
    facts: dict[str, Any] = field(default_factory=dict)

    @property
    def ok(self) -> bool:
        """Whether nothing failed, and nothing passed that was said to fail."""
        return not self.failures

    @property
    def failures(self) -> list[Check]:
        return [check for check in self.checks if check.outcome in BAD]

    @property
    def counts(self) -> dict[str, int]:
        """How many checks had each outcome; only those that occur."""
        return {str(outcome): n for outcome, n in Counter(check.outcome for check in self.checks).items()}

    def to_dict(self) -> dict[str, Any]:
        """Plain data, as ``to_json`` writes it."""
        return {
            "format": FORMAT,
            "subject": self.subject,
            "ok": self.ok,
            "counts": self.counts,
            "facts": self.facts,
            "checks": [asdict(check) for check in self.checks],
        }

    def to_json(self) -> str:
        return json.dumps(self.to_dict(), indent=2)

    def __str__(self) -> str:
        return f"{self.subject}: {counted(self.counts)}"

    def settled(self, raising: bool = True) -> Result:
        """Keep the result for the summary; it itself.  Errors: CheckError, when ``raising`` and something failed."""
        RESULTS.append(self)
        if raising and not self.ok:
            raise CheckError(self.complaint(), result=self)
        return self

    def complaint(self) -> str:
        """The first failure in full, and which others there are."""
        first, *others = self.failures
        text = f"{self.subject} fails {first.name!r} for {first.case}: {first.detail}"
        if others:
            more = "; ".join(f"{name} ({n})" for name, n in Counter(check.name for check in others).items())
            text += f"\n  {len(others)} more checks fail: {more}; the error's `result` has them all"
        return text


RESULTS: list[Result] = []


def counted(counts: dict[str, int]) -> str:
    """``214 checks passed, 4 refused``."""
    parts = [f"{n} {name}" for name, n in counts.items() if name != "passed"]
    return ", ".join([f"{counts.get('passed', 0)} checks passed", *parts])


class Report:
    """A Result while it is made."""

    def __init__(self, subject: str, **facts: Any):
        self.result = Result(subject, facts=facts)

    def note(self, name: str, case: Any, outcome: Outcome, detail: str = "") -> None:
        self.result.checks.append(Check(name, str(case), outcome, detail))

    def check(self, name: str, case: Any, function: Callable[..., Any], *arguments: Any, **named: Any) -> bool:
        """Call ``function``: a failure if it raises, with what it says.  What it returns as a string is the detail."""
        with self.checking(name, case) as details:
            found = function(*arguments, **named)
            details += [found] if isinstance(found, str) else []
        return self.result.checks[-1].outcome not in BAD

    @contextmanager
    def checking(self, name: str, case: Any) -> Iterator[list[str]]:
        """The same for a block: what is put into the list is the detail."""
        details: list[str] = []
        try:
            yield details
        except Exception as error:  # the code under test may raise anything
            self.note(name, case, Outcome.FAILED, said(error))
        else:
            self.note(name, case, Outcome.PASSED, "; ".join(details))


def said(error: BaseException) -> str:
    """What an exception says; the class is named unless the message is one of ours."""
    from_core = type(error).__module__ == "core.errors"
    text = str(error).strip()
    return text if from_core and text else f"{type(error).__name__}: {text}".removesuffix(": ")
