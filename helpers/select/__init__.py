"""Body of ``python -m helpers select``: pick a subset from arrays on disk, or from data."""

import argparse
import re
from fractions import Fraction

from helpers import StudyError, arguments
from helpers.select import common, inputs, method_options
from helpers.selection import registry

# Numbers as they are usually written: Python also takes 0_5 and the digits of other scripts.
WHOLE = re.compile(r"0|[1-9]\d*", re.ASCII)
SHARE = re.compile(r"[\d.]+(e-?\d+|/\d+)?", re.ASCII | re.IGNORECASE)
# Flags that say how a proxy is trained, and make no sense without --data.
OF_PROXIES = ("proxy", "recipe", "epochs", "proxies", "device", "report")


class _List(argparse.Action):
    """Print the methods and leave."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        """Do so."""
        print(method_options.listing())
        parser.exit()


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Give a parser the arguments of the command."""
    parser.description = "Pick a subset of images, texts or arrays."
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = method_options.epilog()
    # Checked by hand, so that a wrong name is the same one line as every other error.
    parser.add_argument("--method", required=True, metavar="METHOD", help="see below")
    size = parser.add_mutually_exclusive_group(required=True)
    size.add_argument("--k", type=_whole, metavar="N", help="examples to keep, a count")
    size.add_argument(
        "--keep",
        type=_share,
        metavar="SHARE",
        help="examples to keep, a share in (0, 1] such as 0.3 or 1/3; the nearest count, halves "
        "to the even one, from arrays at least 1",
    )
    _add_data(parser.add_argument_group("from images or texts: a proxy is trained"))
    given = parser.add_argument_group("from arrays: nothing is trained")
    for name, (shape, meaning) in inputs.SHAPES.items():
        given.add_argument(f"--{name}", metavar="FILE", help=f"{shape}: {meaning}")
    parser.add_argument(
        "--seed",
        type=_whole,
        default=0,
        metavar="N",
        help="of methods that draw, and of the (first) proxy (default: 0)",
    )
    parser.add_argument(
        "--option",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="of the method, see below; may be repeated",
    )
    _add_out(parser)
    parser.add_argument("--list", action=_List, nargs=0, help="list the methods and leave")


def _add_out(parser: argparse.ArgumentParser) -> None:
    """Add the flags of what is written."""
    parser.add_argument(
        "--out",
        metavar="FILE",
        help=".npy (weights apart, in FILE-weights.npy), .csv (row[,weight][,file]), or no suffix "
        "for both; a .json beside it says what was done (default with --data: DATA-METHOD-K). Rows "
        "count the training rows; of a single file, FILE-source-rows.txt and the column source_row "
        "count its own",
    )
    parser.add_argument(
        "--force",
        action="store_true",
        help="overwrite what is not an earlier selection; start where memory looks too small",
    )


def _add_data(group: argparse._ArgumentGroup) -> None:
    """Add the flags of proxies."""
    group.add_argument(
        "--data",
        metavar="NAME",
        help="folder:PATH (class folders with images), parquet:PATH, text:PATH, digits, cifar10, "
        "...; @TRAIN+TEST after it takes the first rows only",
    )
    group.add_argument("--proxy", metavar="MODEL", help="network (default: by size and number)")
    group.add_argument("--recipe", metavar="NAME", help="training recipe (default: by the images)")
    group.add_argument(
        "--epochs", type=_positive, metavar="N", help="of the proxy (default: by number of rows)"
    )
    group.add_argument(
        "--proxies",
        type=_positive,
        metavar="N",
        help="proxies whose rankings are combined, seeds from --seed upwards (default: 1)",
    )
    group.add_argument(
        "--device", type=arguments.device, help="auto, cpu, cuda or mps (default: auto)"
    )
    group.add_argument(
        "--report", metavar="FILE", help="the page, FILE.html (default: beside --out)"
    )


def _whole(text: str) -> int:
    """Read a whole number from 0 upwards."""
    if not WHOLE.fullmatch(text):
        raise argparse.ArgumentTypeError(f"must be a whole number from 0 upwards, got {text}")
    return int(text)


def _positive(text: str) -> int:
    """Read a whole number from 1 upwards."""
    if not WHOLE.fullmatch(text) or int(text) < 1:
        raise argparse.ArgumentTypeError(f"must be a whole number from 1 upwards, got {text}")
    return int(text)


def _share(text: str) -> Fraction:
    """Read a share exactly as it is written: as a float, 0.35 * 10 would miss its half."""
    try:
        share = Fraction(text)
    except (ValueError, ZeroDivisionError):
        share = Fraction(0)
    if not 0 < share <= 1 or not SHARE.fullmatch(text):
        raise argparse.ArgumentTypeError(f"must lie in (0, 1], got {text}")
    return share


def run(args: argparse.Namespace) -> int:
    """Pick, write row numbers, weights and the JSON beside them, and say so.

    Args:
        args: What a parser with `add_arguments` returned.

    Returns:
        Exit code: 0, or 130 after Ctrl-C while a proxy is trained.

    Raises:
        ValueError: One clear line for whatever the user can put right; nothing is written.
    """
    method = registry.get(args.method)
    options = method_options.parse(method, args.option)
    sources = {name: path for name in inputs.SHAPES if (path := getattr(args, name))}
    _check_ways(args, sources)
    with common.ended_by_sigterm():
        try:
            if args.data is not None:
                from helpers.select import from_data

                return from_data.run(args, method, options)
            from helpers.select import from_arrays

            return from_arrays.run(args, method, options, sources)
        except MemoryError as error:
            raise StudyError(f"{method.key}: out of memory ({error})") from None


def _check_ways(args: argparse.Namespace, sources: dict[str, str]) -> None:
    """Raise unless the flags are those of one way, data or arrays."""
    if args.data is not None and sources:
        raise StudyError(f"--data goes with no arrays, got --{next(iter(sources))} too")
    if args.data is None:
        for name in OF_PROXIES:
            if getattr(args, name) is not None:
                raise StudyError(f"--{name} goes with --data only")
