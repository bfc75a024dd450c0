"""What the demo says and draws: header, progress bar, table of results, and the loss curves as a PNG.

rich and matplotlib come with the extra ``core[demo]``; they are imported where they are used.
"""

from __future__ import annotations

import os
import platform
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np

import core
from core.demo.data import Examples
from core.demo.train import BATCH, LARGEST_DIFFERENCE, Result
from core.plugins import State, plugins

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress


def console() -> Console:
    """Where the demo writes: standard output, with colours on a terminal."""
    from rich.console import Console

    return Console()


def header(console: Console, examples: Examples, seed: int) -> None:
    """Versions, plugins and data, before anything is trained."""

    def line(title: str, text: str) -> None:
        console.print(f"{title:8} {text}", markup=False, highlight=False, soft_wrap=True)

    line("core", f"{core.__version__}, Python {platform.python_version()}, NumPy {np.__version__}")
    for i, plugin in enumerate(plugins()[1:]):  # the first is core itself
        state = f"loaded, {plugin.ms:.1f} ms" if plugin.state is State.LOADED else str(plugin)
        line("" if i else "plugins", f"{plugin.source}: {state}")
    if not plugins()[1:]:
        line("plugins", "none is installed")
    n, d = examples.train_x.shape
    line("data", examples.name)
    line("", f"{n} examples of {d} numbers to train on, {len(examples.test_x)} to test on (seed {seed})")


@contextmanager
def notes(console: Console) -> Iterator[None]:
    """Warnings, such as that no compiler was found, become notes on the console."""

    def show(message: Warning | str, *details: object, **more: object) -> None:
        console.print(f"{'note':8} {message}", markup=False, highlight=False, soft_wrap=True)

    with warnings.catch_warnings():
        warnings.showwarning = show
        yield


def progress(console: Console) -> Progress:
    """A bar that shows epochs, loss and accuracy."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    return Progress(
        TextColumn("{task.description:24}"),
        BarColumn(bar_width=20),
        MofNCompleteColumn(),
        TextColumn("loss {task.fields[loss]:.4f}  test accuracy {task.fields[accuracy]:.4f}"),
        console=console,
    )


def table(console: Console, results: Sequence[Result], *, goals: bool) -> None:
    """The numbers of each model, a column each."""
    from rich.table import Table

    shown = Table(box=None, padding=(0, 2, 0, 0))
    shown.add_column("")
    for result in results:
        shown.add_column(result.model.name, justify="right")
    rows = {
        "test accuracy": lambda r: f"{r.accuracy:.4f}" + (f" (goal {r.model.goal})" if goals else ""),
        "loss, first and last epoch": lambda r: f"{r.train_losses[0]:.4f}  {r.train_losses[-1]:.4f}",
        "backend": lambda r: r.backend,
        "which comes from": lambda r: r.provider,
        "time to compile": lambda r: f"{r.compile_s:.2f} s",
        f"a step of {BATCH} examples": lambda r: f"{1e6 * r.step_s:.1f} us",
        "the same step in NumPy": lambda r: f"{1e6 * r.numpy_step_s:.1f} us",
        "times as fast as NumPy": lambda r: f"{r.numpy_step_s / r.step_s:.2f}",
        "losses differ by at most": lambda r: f"{r.difference:.1e} (limit {LARGEST_DIFFERENCE:.0e})",
    }
    for title, value in rows.items():
        shown.add_row(title, *map(value, results))
    console.print(shown)
    console.print("Times are medians over the epochs, which alternate with NumPy's.", style="dim")


def failures(results: Sequence[Result], *, goals: bool) -> list[str]:
    """What was not reached, a sentence each."""
    out = []
    for result in results:
        if goals and not result.accuracy >= result.model.goal:
            out.append(
                f"{result.model.name}: test accuracy {result.accuracy:.4f} misses the goal of {result.model.goal}"
            )
        if not result.agrees:
            out.append(f"{result.model.name}: losses differ from NumPy's by {result.difference:.1e}, more than allowed")
    return out


def plot(results: Sequence[Result], path: str | os.PathLike[str]) -> None:
    """Write the curves of loss and of test accuracy to ``path``, a PNG."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 4), dpi=120, layout="constrained")
    FigureCanvasAgg(figure)
    losses, accuracies = figure.subplots(1, 2)
    for i, result in enumerate(results):
        epochs = np.arange(1, len(result.train_losses) + 1)
        losses.plot(epochs, result.train_losses, color=f"C{i}", label=f"{result.model.name}, training")
        losses.plot(epochs, result.test_losses, color=f"C{i}", linestyle="--", label=f"{result.model.name}, test")
        accuracies.plot(epochs, result.accuracies, color=f"C{i}", label=result.model.name)
    losses.set(xlabel="epoch", ylabel="negative log likelihood", yscale="log", title="loss")
    accuracies.set(xlabel="epoch", ylabel="share of test examples", title="test accuracy")
    for axes in (losses, accuracies):
        axes.legend(fontsize="small")
        axes.grid(alpha=0.3)
    figure.savefig(path, format="png")
