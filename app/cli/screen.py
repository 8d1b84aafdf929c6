"""``discern screen``: files and folders of films, answered side by side."""

import argparse
import json
import sys
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import orjson
from tqdm import tqdm

from app.api.payload import screening_payload
from app.bootstrap import open_services
from app.cli.exit_codes import OK, SOME_FAILED
from app.codecs.figure import Caption, captioned
from app.domain.activation_map import lay_over_film, positive_share
from app.domain.arrays import FloatMap
from app.domain.label_hierarchy import DISPLAY_NAMES
from app.domain.overlay import blend, grey_levels, overlay_size
from app.domain.preprocessing import Rectangle
from app.domain.screening import ScreeningResult, drawn
from app.services.batch import BatchItem, screen_files
from app.services.options import Part, ScreeningOptions
from app.services.screening import Screening
from app.settings import Settings

if TYPE_CHECKING:
    from app.cli.verbs import Verbs

Draw: TypeAlias = Callable[[FloatMap, Rectangle, Caption], bytes]


def add_parser(verbs: "Verbs") -> None:
    """Describe the verb."""
    parser = verbs.add_parser("screen", help="screen films: PNG, JPEG, DICOM, or folders of them")
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE", help="film or folder")
    parser.add_argument("--out", type=Path, default=Path("screenings"), help="folder of the answers")
    parser.add_argument("--alpha", type=float, nargs="+", action="extend", default=[], help="amplification; repeatable")
    parser.add_argument("--interest", help="expert of the class of interest")
    parser.add_argument("--overlap", help="expert of the overlapping class")
    parser.add_argument(
        "--ensemble-maps",
        action="store_true",
        help="map every label of the ensemble, and draw those that were evaluated",
    )
    parser.add_argument(
        "--predicted-regions",
        action="store_true",
        help="predict regions and draw them: a second output of a network, no explanation of its answer",
    )
    parser.add_argument("--force", action="store_true", help="answer even where a film would be refused")
    parser.add_argument("--json", action="store_true", help="print one line of JSON a film and write nothing")
    parser.set_defaults(run=run)


def run(parsed: argparse.Namespace, settings: Settings) -> int:
    """Screen every file; those that fail are named, the others are still done."""
    parts: set[Part] = {"maps", "ensemble", "regions", "multiclass"}
    if parsed.ensemble_maps:
        parts.add("ensemble_maps")
    if parsed.predicted_regions:
        parts.add("predicted_regions")
    options = ScreeningOptions(
        interest=parsed.interest,
        overlap=parsed.overlap,
        alphas=tuple(parsed.alpha),
        include=frozenset(parts),
        force=parsed.force,
    )
    paths = sorted(set(films_below(parsed.files, parsed.out)))
    names, failed = answer_names(paths), 0
    if not parsed.json:
        parsed.out.mkdir(parents=True, exist_ok=True)
    with open_services(settings) as services:
        services.catalogue.pair(options.interest, options.overlap)  # an unknown expert is no film's fault
        items = screen_files(services.screening, paths, options, settings.workers)
        for item in tqdm(items, total=len(paths), unit="film", disable=None):
            failed += item.screening is None
            _report(item, parsed, names[item.path])
    print(f"{len(paths) - failed} answered, {failed} refused or failed", file=sys.stderr)
    return SOME_FAILED if failed or not paths else OK


def films_below(files: Iterable[Path], answers: Path | None = None) -> Iterator[Path]:
    """Give the files as named, and every file below a named folder but hidden ones and earlier answers."""
    for path in files:
        if not path.is_dir():
            yield path
            continue
        for each in path.rglob("*"):
            hidden = any(part.startswith(".") for part in each.relative_to(path).parts)
            if each.is_file() and not hidden and not (answers and each.resolve().is_relative_to(answers.resolve())):
                yield each


def answer_names(paths: Iterable[Path]) -> dict[Path, str]:
    """Give every film a file name of its own, made from the film's."""
    names: dict[Path, str] = {}
    taken: set[str] = set()
    for path in paths:
        name, number = path.stem, 2
        while name.lower() in taken:
            name, number = f"{path.stem}-{number}", number + 1
        taken.add(name.lower())
        names[path] = name
    return names


def _report(item: BatchItem, parsed: argparse.Namespace, name: str) -> None:
    if item.screening is None:
        code = item.error.problem_code if item.error else "failed"
        detail = item.error.detail if item.error else ""
        tqdm.write(f"{item.path}: {code}: {detail}", file=sys.stderr)
        if parsed.json:
            print(json.dumps({"file": str(item.path), "error": {"code": code, "detail": detail}}), flush=True)
        return
    payload = {"file": item.path.name, **screening_payload(name, datetime.now(UTC), item.screening)}
    document = orjson.dumps(payload, option=orjson.OPT_SERIALIZE_NUMPY)
    if parsed.json:
        print(document.decode(), flush=True)
        return
    (parsed.out / f"{name}.json").write_bytes(document + b"\n")
    for suffix, figure in figures(item.screening):
        (parsed.out / f"{name}.{suffix}.png").write_bytes(figure)


def figures(screening: Screening) -> Iterator[tuple[str, bytes]]:
    """Draw the triple of papers/1, fig. 5: a map of each expert and the divergence, with caption and colour bar.

    Yields
    ------
    tuple
        File name suffix and PNG.
    """
    result, options = screening.result, screening.options
    height, width = overlay_size(result.film.height, result.film.width, options.overlay_px)
    grey = grey_levels(result.film.pixels, height, width)

    def draw(display: FloatMap, extent: Rectangle, caption: Caption) -> bytes:
        heat = lay_over_film(display, extent, result.film.height, result.film.width, height, width)
        picture = blend(grey, heat, options.colormap, options.opacity)
        return captioned(np.ascontiguousarray(picture), caption, options.colormap, options.opacity)

    for name, finding in result.experts.items():
        if finding.activation_map is not None:
            title = f"{finding.title}: {finding.probability:.2f} ({finding.decision}){_outside(finding.outside_lungs)}"
            caption = Caption(title, "no evidence", f"most evidence for {name}")
            yield (
                f"cam-{name}",
                draw(drawn(positive_share(finding.activation_map), finding.flags), finding.extent, caption),
            )
    yield from _divergence_figures(result, draw)
    yield from _label_figures(result, draw)
    yield from _class_figures(result, draw)
    for region in result.predicted_regions or ():
        title = f"Predicted region ({region.region_of}), no explanation: {100 * region.share:.1f} % of the film"
        caption = Caption(title, "outside the region", "inside the region")
        yield f"predicted-region-{region.name}", draw(region.shown, region.extent, caption)


def _divergence_figures(result: ScreeningResult, draw: Draw) -> Iterator[tuple[str, bytes]]:
    found = result.divergence
    if found is None:
        return
    for each, share in zip(found.maps, found.outside_lungs, strict=True):
        title = f"What speaks for {found.interest} rather than {found.overlap} (alpha {each.alpha:g}){_outside(share)}"
        caption = Caption(title, "no more than the other", f"more for {found.interest}")
        yield (
            f"addk-{found.interest}-over-{found.overlap}-a{each.alpha:g}",
            draw(drawn(each.display, each.flags), found.extent, caption),
        )


def _label_figures(result: ScreeningResult, draw: Draw) -> Iterator[tuple[str, bytes]]:
    for label in result.ensemble.labels if result.ensemble is not None else ():
        found = label.activation_map
        if found is not None and label.evaluated:
            name = DISPLAY_NAMES.get(label.name, label.name)
            title = f"Ensemble, {name}: {label.probability:.2f} ({label.decision}){_outside(found.outside_lungs)}"
            caption = Caption(title, "no evidence", f"most of the mean logit of {label.name}")
            display = drawn(positive_share(found.values), found.flags)
            yield f"ensemble-{label.name}", draw(display, found.extent, caption)


def _class_figures(result: ScreeningResult, draw: Draw) -> Iterator[tuple[str, bytes]]:
    for found in result.multiclass or ():
        if found.activation_map is not None:
            name = DISPLAY_NAMES.get(found.predicted, found.predicted)
            share = found.probabilities[found.predicted]
            title = f"{found.title}: {name}, {share:.2f} among its classes{_outside(found.outside_lungs)}"
            caption = Caption(title, "no evidence", f"most evidence for {name}")
            display = drawn(positive_share(found.activation_map), found.map_flags)
            yield f"multiclass-{found.name}", draw(display, found.extent, caption)


def _outside(share: float | None) -> str:
    return "" if share is None else f", {100 * share:.0f} % outside the lungs"
