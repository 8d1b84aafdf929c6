"""``discern convert``: films of any readable kind to PNG, as the networks would be shown them."""

import argparse
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from tqdm import tqdm

from app.bootstrap import decode_limits
from app.cli.exit_codes import OK, SOME_FAILED
from app.cli.screen import films_below
from app.codecs.decoder import FilmDecoder
from app.codecs.png import PngEncoder
from app.domain.errors import ScreeningError
from app.domain.overlay import grey_levels, overlay_size
from app.settings import Settings

if TYPE_CHECKING:
    from app.cli.verbs import Verbs


def add_parser(verbs: "Verbs") -> None:
    """Describe the verb."""
    parser = verbs.add_parser(
        "convert", help="write films (DICOM, PNG, JPEG, or folders of them) as 8-bit PNG, e.g. to train on"
    )
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE", help="film or folder")
    parser.add_argument(
        "--out", type=Path, required=True, help="folder of the PNG files; folders below stay as they are"
    )
    parser.add_argument("--longer-side", type=int, metavar="PX", help="shrink films whose longer side is larger")
    parser.set_defaults(run=run)


def run(parsed: argparse.Namespace, settings: Settings) -> int:
    """Write every film; those that cannot be read are named, the others are still done."""
    if parsed.longer_side is not None and parsed.longer_side < 1:
        print("discern: --longer-side must be 1 or more", file=sys.stderr)
        return SOME_FAILED
    decoder, encoder = FilmDecoder(decode_limits(settings)), PngEncoder()
    planned = destinations(parsed.files, parsed.out)
    failed = 0
    for path, out in tqdm(planned.items(), unit="film", disable=None):
        try:
            film = decoder.decode(path.read_bytes())
        except (ScreeningError, OSError) as error:
            failed += 1
            code = error.problem_code if isinstance(error, ScreeningError) else "unreadable_file"
            detail = error.detail if isinstance(error, ScreeningError) else error.strerror
            tqdm.write(f"{path}: {code}: {detail}", file=sys.stderr)
            continue
        height, width = overlay_size(film.height, film.width, parsed.longer_side)
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_bytes(encoder.grey(grey_levels(film.pixels, height, width)))
    print(f"{len(planned) - failed} written, {failed} refused or failed", file=sys.stderr)
    return SOME_FAILED if failed or not planned else OK


def destinations(files: Iterable[Path], out: Path) -> dict[Path, Path]:
    """Give every film the PNG it becomes: below ``out`` as it lay below its folder, never two in one place.

    Parameters
    ----------
    files
        Films, and folders of films.
    out
        Where to write; what lies there already is no film.
    """
    planned: dict[Path, Path] = {}
    taken: set[Path] = set()
    for root in files:
        for path in sorted(films_below([root], out)):
            relative = path.relative_to(root) if root.is_dir() else Path(path.name)
            target, number = out / relative.with_suffix(".png"), 2
            while target in taken:
                target, number = out / relative.with_name(f"{relative.stem}-{number}.png"), number + 1
            taken.add(target)
            planned[path] = target
    return planned
