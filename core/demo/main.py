"""The command ``core demo``: its arguments, and the order of what it does.  What it says is in report.py."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from typing import Any

from core.demo import data, report
from core.demo.models import MODELS
from core.demo.train import Result, train
from core.errors import CoreError

EXTRAS = {"sklearn": "scikit-learn", "rich": "rich", "matplotlib": "matplotlib"}


def main(argv: Sequence[str] | None = None) -> int:
    """Train both models and report.  Returns 1 when an accuracy goal or the agreement with NumPy is missed, else 0.

    Errors  CoreError when a package of the extra is missing, the data cannot be used, or the PNG cannot be written;
            BackendError when the backend is unknown or does not work here; SystemExit(2) for wrong usage.
    """
    arguments = build_parser().parse_args(argv)
    _require_extras([*([] if arguments.data else ["sklearn"]), "rich", *([] if arguments.no_plot else ["matplotlib"])])
    if not arguments.no_plot:
        _require_writable(arguments.output)
    return _run(arguments)


def build_parser() -> argparse.ArgumentParser:
    """The arguments of ``core demo``."""
    parser = argparse.ArgumentParser(
        prog="core demo",
        description="Train a logistic regression and an MLP on handwritten digits, and time them against plain NumPy.",
    )
    option = parser.add_argument
    option("--backend", metavar="NAME", help="c, interpreter, ...; default: the best that works here")
    option("--epochs", type=_positive, default=40, metavar="N", help="passes over the data (default: %(default)s)")
    option("--seed", type=_natural, default=0, metavar="N", help="of split, weights and order (default: %(default)s)")
    option("--output", default="core-demo.png", metavar="PNG", help="file for the loss curves (default: %(default)s)")
    option("--no-plot", action="store_true", help="draw nothing")
    option("--data", metavar="NPZ", help="train on arrays x (n, d) and y (n,) of this file instead of the digits")
    return parser


def _run(arguments: argparse.Namespace) -> int:
    console, seed = report.console(), arguments.seed
    examples = data.from_file(arguments.data, seed) if arguments.data else data.digits(seed)
    report.header(console, examples, seed)
    results = []
    with report.notes(console), report.progress(console) as bar:
        for model in MODELS:
            task = bar.add_task(model.name, total=arguments.epochs, loss=float("nan"), accuracy=float("nan"))

            def show(result: Result, task: Any = task) -> None:
                bar.update(task, advance=1, loss=result.train_losses[-1], accuracy=result.accuracy)

            results.append(
                train(model, examples, epochs=arguments.epochs, seed=seed, backend=arguments.backend, each_epoch=show)
            )
    goals = not arguments.data
    report.table(console, results, goals=goals)
    if not arguments.no_plot:
        report.plot(results, arguments.output)
        console.print(f"The loss curves are in {arguments.output}", markup=False, highlight=False, soft_wrap=True)
    missed = report.failures(results, goals=goals)
    for sentence in missed:
        print(f"core demo: {sentence}", file=sys.stderr)
    return 1 if missed else 0


def _require_extras(modules: Sequence[str]) -> None:
    missing = [EXTRAS[module] for module in modules if find_spec(module) is None]
    if missing:
        raise CoreError(f"core demo needs {', '.join(missing)}, not installed here: pip install 'core[demo]'")


def _require_writable(path: str) -> None:
    """Said before the training rather than after it."""
    folder = os.path.dirname(os.path.abspath(path))
    if not os.path.isdir(folder):
        raise CoreError(f"--output {path} needs an existing folder, got {folder}")
    if os.path.isdir(path) or not os.access(path if os.path.exists(path) else folder, os.W_OK):
        raise CoreError(f"--output needs a file that can be written, got {path}")


def _whole(text: str, least: int) -> int:
    try:
        number = int(text)
    except ValueError:
        number = least - 1
    if number < least:
        raise argparse.ArgumentTypeError(f"needs a whole number of at least {least}, got {text!r}")
    return number


def _positive(text: str) -> int:
    return _whole(text, 1)


def _natural(text: str) -> int:
    return _whole(text, 0)
