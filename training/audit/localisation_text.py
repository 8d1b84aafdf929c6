"""The localisation tables as Markdown."""

from collections.abc import Iterator

from training.audit.localisation import TOGETHER, LocalisationReport, LocalisationTable


def localisation_markdown(report: LocalisationReport, *, every_part: bool = True) -> str:
    """Write a report as Markdown.

    Parameters
    ----------
    report
        As measured.
    every_part
        Each part apart as well; else only all together.
    """
    lines = [f"# Where the maps of {report.interest} and {report.overlap} point", ""]
    lines += [f"Parts read: {', '.join(report.parts) or 'none'}. {report.refused} films were refused.", ""]
    lines += [f"- {note}" for note in report.notes]
    for table in report.tables:
        if table.films and (every_part or table.part == TOGETHER):
            lines += ["", *table_lines(table)]
    return "\n".join(lines) + "\n"


def table_lines(table: LocalisationTable, level: int = 2) -> Iterator[str]:
    """Write one table, then the paired gains, as Markdown lines."""
    yield f"{'#' * level} {table.kind}, {table.part}, {table.subset}"
    yield ""
    marked = f"{table.marked_share:.3f} of the film is marked on average"
    yield f"{table.films} films of {table.patients} patients; {marked}."
    yield ""
    yield "| Map | Hit | Energy inside | IoU (Otsu) | Flat |"
    yield "|---|---|---|---|---|"
    for row in table.rows:
        yield f"| {row.method} | {row.hit} | {row.energy} | {row.iou} | {row.flat} |"
    if table.gains:
        yield ""
        yield "| Gain over the same expert's map | Hit | Energy inside | IoU (Otsu) |"
        yield "|---|---|---|---|"
    for gain in table.gains:
        yield f"| {gain.method} | {gain.hit} | {gain.energy} | {gain.iou} |"
