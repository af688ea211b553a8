"""Pictures of a drawn world, for the page that states its assumptions."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tidewaiter.synthetic.columns import spread
from tidewaiter.synthetic.parameters import plan
from tidewaiter.synthetic.profiles import PROFILES, Request
from tidewaiter.synthetic.selectivity import LANES
from tidewaiter.synthetic.traffic import DAY_S
from tidewaiter.synthetic.world import DrawnChunk, World

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_ITEMS, _MONTHS = 120_000, 12
_SIZE, _DPI = (6.4, 3.6), 80
_LANE_COLOURS = ("#b2182b", "#e0a100", "#2b6cb0", "#2e7d32")
_INK, _MARK = "#2b4c7e", "#b2182b"


def draw_plots(out: Path, seed: int) -> list[Path]:
    """Draw a year of XA without scenarios and write one small PNG per picture.

    Returns:
        The pictures: prices, lanes, label delay, importers.
    """
    # The canvas without a window: a server has none, and the global state of pyplot is not needed.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    request = Request(PROFILES["XA"], plan("none", "none"), _ITEMS, date(2024, 1, 1), _MONTHS, seed)
    world = World(request)
    chunks = list(world.chunks())
    out.mkdir(parents=True, exist_ok=True)
    pictures: dict[str, Callable[[Axes], None]] = {
        "synthetic-prices.png": lambda axes: _prices(axes, world, chunks),
        "synthetic-lanes.png": lambda axes: _lanes(axes, world, chunks),
        "synthetic-label-delay.png": lambda axes: _label_delay(axes, world, chunks),
        "synthetic-importers.png": lambda axes: _importers(axes, chunks),
    }
    written = []
    for name, draw in pictures.items():
        figure = Figure(figsize=_SIZE, dpi=_DPI, layout="constrained")
        FigureCanvasAgg(figure)
        axes = figure.add_subplot()
        axes.spines[["top", "right"]].set_visible(False)
        draw(axes)
        # Without the library's version in it, the same world gives the same bytes for longer.
        figure.savefig(out / name, metadata={"Software": None})
        written.append(out / name)
    return written


def _joined(chunks: list[DrawnChunk], get: Any) -> np.ndarray:
    return np.concatenate([get(chunk) for chunk in chunks])


def _prices(axes: Axes, world: World, chunks: list[DrawnChunk]) -> None:
    """Declared unit values over the reference price, by Rauch class."""
    commodity = _joined(chunks, lambda chunk: chunk.batch.true.commodity)
    ratio = np.exp(
        _joined(
            chunks,
            lambda chunk: (
                np.log(chunk.batch.declared.value_usd / chunk.batch.declared.net_kg)
                - chunk.batch.true.ln_reference_price
            ),
        )
    )
    differentiated = world.setting.goods.is_differentiated[commodity]
    edges = np.geomspace(0.1, 10, 81)
    for chosen, label, colour in (
        (~differentiated, "homogeneous goods", _MARK),
        (differentiated, "differentiated goods", _INK),
    ):
        share = np.histogram(ratio[chosen], edges)[0] / chosen.sum() * 100
        axes.stairs(share, edges, label=label, color=colour, linewidth=1.6)
    axes.set_xscale("log")
    axes.set_xticks([0.1, 0.2, 0.5, 1, 2, 5, 10], ["0.1", "0.2", "0.5", "1", "2", "5", "10"])
    axes.set_xlabel("declared unit value over its reference price")
    axes.set_ylabel("items, % per bin")
    axes.set_title("Prices are log-normal around commodity and origin", loc="left", fontsize=11)
    axes.legend(frameon=False)


def _lanes(axes: Axes, world: World, chunks: list[DrawnChunk]) -> None:
    """Shares of declarations by month and first lane."""
    months = sorted({chunk.chunk.month for chunk in chunks})
    counts = np.zeros((len(months), len(LANES)))
    for chunk in chunks:
        counts[chunk.chunk.month] += np.bincount(chunk.selected.lane_initial, minlength=len(LANES))
    shares = counts / counts.sum(axis=1, keepdims=True) * 100
    below = np.zeros(len(months))
    for place, (lane, colour) in enumerate(zip(LANES, _LANE_COLOURS, strict=True)):
        axes.bar(months, shares[:, place], 0.8, bottom=below, color=colour, label=lane.lower())
        below += shares[:, place]
    first = world.setting.request.first_day.astype("datetime64[M]")
    axes.set_xticks(months, [str(first + month)[2:] for month in months], fontsize=8)
    axes.set_ylabel("declarations, %")
    axes.set_title("Lanes keep their expected shares", loc="left", fontsize=11)
    axes.legend(frameon=False, ncols=4, loc="upper center", bbox_to_anchor=(0.5, -0.1))


def _label_delay(axes: Axes, world: World, chunks: list[DrawnChunk]) -> None:
    """Days from release to label of examined items."""

    def delays(chunk: DrawnChunk) -> np.ndarray:
        of = spread(chunk.batch.declarations.lines)
        days: np.ndarray = (chunk.outcomes.label_s - chunk.cleared.released_s[of]) / DAY_S
        known: np.ndarray = days[chunk.outcomes.is_examined]
        return known

    found = _joined(chunks, delays)
    axes.hist(
        found, list(np.geomspace(0.3, 300, 61)), color=_INK, weights=np.full(found.size, 100 / found.size)
    )
    parameters = world.setting.request.world
    for days, label in (
        (parameters.label_delay_median_d, "median"),
        (parameters.label_delay_p95_d, "95th percentile"),
    ):
        axes.axvline(days, color=_MARK, linewidth=1.2)
        axes.annotate(
            f"{label} {days:.0f} d",
            (days, axes.get_ylim()[1]),
            (4, -10),
            textcoords="offset points",
            color=_MARK,
            fontsize=9,
        )
    axes.set_xscale("log")
    axes.set_xticks([1, 3, 10, 30, 100, 300], ["1", "3", "10", "30", "100", "300"])
    axes.set_xlabel("days from release until the label is known")
    axes.set_ylabel("examined items, % per bin")
    axes.set_title("Labels are late", loc="left", fontsize=11)


def _importers(axes: Axes, chunks: list[DrawnChunk]) -> None:
    """Declarations by importer, largest first."""
    importer = _joined(chunks, lambda chunk: chunk.batch.declarations.importer)
    counts = np.sort(np.bincount(importer[importer >= 0]))[::-1]
    counts = counts[counts > 0]
    rank = np.arange(1, counts.size + 1)
    axes.loglog(rank, counts, ".", markersize=3, color=_INK, label="importers of one year")
    line = counts[9] * (rank / 10) ** (-1 / 1.1)
    axes.loglog(rank, line, color=_MARK, linewidth=1.2, label="rank to the power of -1/1.1")
    axes.set_ylim(0.8, counts[0] * 1.5)
    axes.set_xlabel("rank of the importer")
    axes.set_ylabel("declarations")
    axes.set_title("A few importers lodge most declarations", loc="left", fontsize=11)
    axes.legend(frameon=False)
