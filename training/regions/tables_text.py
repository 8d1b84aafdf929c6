"""A table of region networks as Markdown, in the shape of papers/4."""

from typing import Final

from training.regions.tables import Cell, RegionTable

_CLASSES: Final = {
    "precision": "avg precision", "sensitivity": "avg sensitivity", "specificity": "avg specificity",
    "f1": "avg F1", "accuracy": "accuracy", "auroc": "AUROC",
}  # fmt: skip
_REGIONS: Final = {
    "region_iou": "IoU with the outline", "region_nothing": "flagged empty or saturated",
    "region_empty_if_clear": "flagged empty where there is nothing", "agreement_iou": "IoU with the map's hottest area",
    "agreement_energy": "map's energy in the region", "agreement_correlation": "correlation with the map",
}  # fmt: skip
_MAPS: Final = {
    "map_hit": "hit", "map_energy": "energy inside", "map_iou": "IoU (Otsu)",
    "map_hit_part": "hit, deciding part", "map_energy_part": "energy inside, deciding part",
    "map_entropy": "entropy (nats)",
}  # fmt: skip


def table_markdown(table: RegionTable) -> str:
    """Write a table in three parts: classes, predicted regions, and the classifier's own maps with their gains."""
    first = table.rows[0]
    head = (
        f"## {table.name}: {first.films} films of part {table.part}, {first.outlined} of them outlined,"
        f" {len(first.seeds)} seeds"
    )
    parts = [head, "Mean over seeds ± their standard deviation (95 % interval over patients)."]
    parts += ["### Classes", _columns(table, _CLASSES), "### Predicted regions", _columns(table, _REGIONS)]
    shares = [
        f"{name} {first.cells[f'{key}_share']}" for key, name in (("outline", "outlines"), ("part", "deciding parts"))
    ]
    parts += [f"### The classifier's own map (share of the film: {', '.join(shares)})", _columns(table, _MAPS)]
    gains = {**_CLASSES, **_MAPS}
    parts += ["### Against the plain classifier", _columns(table, gains, of_gains=True)]
    return "\n\n".join(parts) + "\n"


def _columns(table: RegionTable, titles: dict[str, str], *, of_gains: bool = False) -> str:
    rows = [row for row in table.rows if row.gains or not of_gains]
    shown = [
        name
        for name in titles
        if any(_cell(row.gains if of_gains else row.cells, name).value is not None for row in rows)
    ]
    lines = [
        f"|loss: label ratio|outlines shown|{'|'.join(titles[name] for name in shown)}|",
        f"|---|---|{'---|' * len(shown)}",
    ]
    for row in rows:
        cells = [str(_cell(row.gains if of_gains else row.cells, name)) for name in shown]
        lines.append(f"|{row.row}|{row.outlines_shown:.0f}|{'|'.join(cells)}|")
    return "\n".join(lines)


def _cell(cells: dict[str, Cell], name: str) -> Cell:
    return cells.get(name, Cell(value=None))
