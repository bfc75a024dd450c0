"""The picture: our time over that of the best peer and of C by hand, for each workload, on a logarithmic axis."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from benchmarks.report import Verdict


def draw(verdicts: Sequence[Verdict], file: Path) -> None:
    """Write the plot; the ending of ``file`` says in which format.  Needs matplotlib."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot
    from matplotlib.ticker import FuncFormatter

    matplotlib.rcParams["svg.fonttype"] = "none"
    shown = [v for v in verdicts if v.over_best is not None][::-1]
    figure, axes = pyplot.subplots(figsize=(8, 1.2 + 0.16 * len(shown)))
    colours = {True: "#b5482a", False: "#2a6f97"}
    for y, made in enumerate(shown):
        axes.plot([made.over_best, 1], [y, y], color="#cccccc", linewidth=1, zorder=1)
        axes.scatter(made.over_best, y, s=16, color=colours[made.missed], zorder=3)
        if made.over_c is not None:
            axes.scatter(made.over_c, y, s=14, marker="|", color="#333333", zorder=2)
    axes.axvline(1, color="#333333", linewidth=0.8)
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.set_yticks(range(len(shown)), [v.name for v in shown], fontsize=5.5)
    axes.set_ylim(-1, len(shown))
    axes.grid(axis="x", which="major", linewidth=0.4)
    axes.set_xlabel("our time over the best peer's (dots; red: a goal is missed), over C by hand (bars)", fontsize=7)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    figure.tight_layout()
    figure.savefig(file, metadata={"Date": None} if file.suffix == ".svg" else None, dpi=130)
    pyplot.close(figure)
