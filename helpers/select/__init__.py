"""``python -m helpers select``: a subset of arrays on disk, or of one's own images or texts."""

from __future__ import annotations

import argparse
import inspect
import re
import shlex
import sys
import textwrap
import time
import unicodedata
import warnings
from importlib.metadata import version
from pathlib import Path
from types import NoneType
from typing import Any, get_args

import numpy as np

from helpers import StudyError, arguments, config, data, profiles, scores, specs
from helpers.select import files, own_data
from helpers.selection import registry

SHAPES = {
    "labels": "(n,): class numbers from 0 upwards, or strings",
    "probs": "(n, c): class probabilities; rows sum to 1",
    "features": "(n, d): one row an example",
    "scores": "(n,): larger = keep first",
    "gradients": "(n, m): one gradient an example",
    "norms": "(n,): gradient norms",
    "correct": "(epochs, n): 0 or 1; in .parquet, a list of epochs a row",
}
# flags that go with --data only
OF_DATA = ("proxy", "recipe", "epochs", "proxies", "device", "skip_broken")
TYPES = {int: "a whole number", float: "a number", str: "a word", bool: "true or false",
         NoneType: "none"}  # fmt: skip
FILES = """With --data, a small network is trained on the images or texts first (its run is stored:
the next call takes seconds), the files kept are listed, and a page shows what was kept and dropped.
FILE is rows.npy, arrays.npz:key or table.parquet:column; a column of lists, or several of numbers
(a,b,c), gives (n, d). An .npy is mapped, not read: it may be larger than memory for methods that
work in blocks."""
EXAMPLES = """examples:
  python -m helpers select --data folder:photos --method forgetting --keep 0.5
  python -m helpers select --method geda --norms g.npz:norms --labels t.parquet:label \\
      --k 5000 --option within=random --seed 1 --out picked.csv"""


# fmt: off
def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Give a parser the arguments of the command."""
    parser.description = "Pick a subset of images, texts or arrays."
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    methods = "\n".join(map(_entry, registry.METHODS.values()))
    parser.epilog = f"{FILES}\n\nmethods:\n{methods}\n\n{EXAMPLES}"
    whole, add = arguments.whole, parser.add_argument
    add("--list", action="version", version=methods, help="list the methods and leave")
    add("--method", required=True, metavar="METHOD", help="see below")  # checked by the registry
    size = parser.add_mutually_exclusive_group(required=True).add_argument
    size("--k", type=whole(1), metavar="N", help="examples to keep, a count")
    size("--keep", type=arguments.share, metavar="SHARE", help="examples to keep, a share in "
         "(0, 1] such as 0.3 or 1/3; the nearest count, halves to the even one, at least 1")
    add("--seed", type=whole(0), default=0, metavar="N",
        help="of methods that draw, and of the (first) proxy (default: 0)")
    add("--option", action="append", default=[], metavar="NAME=VALUE",
        help="of the method, see below; may be repeated")
    add("--out", metavar="PATH", help="a folder for rows, weights and record (default with --data: "
        "DATA-METHOD-K), or one file, .npy or .csv, with its record beside it")
    add("--force", action="store_true", help="overwrite what is not this very selection")
    add = parser.add_argument_group("from images or texts: a proxy is trained").add_argument
    add("--data", metavar="NAME", help="folder:PATH (class folders with images), parquet:PATH, "
        "text:PATH, digits, cifar10, ...; @TRAIN+TEST takes the first rows only")
    add("--proxy", metavar="MODEL", help="network (default: by size and number)")
    add("--recipe", metavar="NAME", help="training recipe (default: by the images)")
    add("--epochs", type=whole(1), metavar="N", help="of the proxy (default: by number of rows)")
    add("--proxies", type=whole(1), metavar="N",
        help="proxies whose rankings are combined, seeds from --seed upwards (default: 1)")
    add("--device", type=arguments.device, help="auto, cpu, cuda or mps (default: auto)")
    add("--skip-broken", action="store_const", const=True,
        help="leave out images that cannot be read, and say which")
    add = parser.add_argument_group("from arrays: nothing is trained").add_argument
    for name, shape in SHAPES.items():
        add(f"--{name}", metavar="FILE", help=shape)
# fmt: on


def _kinds(option: inspect.Parameter) -> tuple[type, ...]:
    if option.annotation is option.empty:
        return tuple(TYPES)
    return get_args(option.annotation) or (option.annotation,)


def _entry(method: registry.Method) -> str:
    does = (inspect.getdoc(method.pick) or method.label).splitlines()[0]
    facts = ["gives weights"] if method.is_weighted else []
    for name, option in registry.options_of(method.key).items():
        kinds = " or ".join(TYPES[kind] for kind in _kinds(option))
        facts.append(f"--option {name}={str(option.default).lower()} ({kinds})")
    text = "; ".join([f"needs {_needs(registry.ways(method.key, {}))}", *facts])
    return f"  {method.key}: {does}\n" + textwrap.indent(textwrap.fill(text, 90), " " * 6)


def _needs(ways: list[set[str]]) -> str:
    flags = [" and ".join(f"--{name}" for name in SHAPES if name in way) for way in ways]
    return ", or ".join(flags) or "any array, to count the rows"


def _options(method: registry.Method, pairs: list[str]) -> dict[str, Any]:
    options, taken = {}, registry.options_of(method.key)
    for pair in pairs:
        name, equals, text = pair.partition("=")
        name = name.strip().replace("-", "_")
        if not equals or name not in taken or name in options:
            known = ", ".join(taken) or "none"
            raise StudyError(f"--option takes NAME=VALUE once a name, got {pair!r}; names: {known}")
        text = "null" if text.strip().lower() == "none" else text
        options[name] = profiles.read_yaml(text, f"--option {name}")
    registry.check_options(method, options)
    return options


def run(args: argparse.Namespace) -> int:
    """Pick, write row numbers, weights and their record, and say so; exit code 0.

    Raises:
        ValueError: One clear line for whatever the user can put right; nothing is written.
    """
    method, start = registry.get(args.method), time.perf_counter()
    options = _options(method, args.option)
    given = {name: source for name in SHAPES if (source := getattr(args, name))}
    of_data = [name.replace("_", "-") for name in OF_DATA if getattr(args, name) is not None]
    if wrong := [*given] if args.data else of_data:
        raise StudyError(f"--{wrong[0]} {'is no flag beside' if args.data else 'needs'} --data")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", UserWarning)
        try:
            if args.data:
                answer = _from_data(args, method, options)
            else:
                answer = _from_arrays(args, method, options, given)
        except MemoryError as error:
            raise StudyError(f"{method.key}: out of memory ({error})") from None
    record = answer.record
    record["warnings"] += dict.fromkeys(" ".join(str(one.message).split()) for one in caught)
    record["total_seconds"] = round(time.perf_counter() - start, 3)
    record["versions"] = {name: version(name) for name in ("numpy", "scipy")}
    for line in record["warnings"]:
        print(f"warning: {line}", file=sys.stderr)
    files.write(answer)
    told = f"{len(answer.rows):,} of {record['n']:,} rows (k = {record['k']:,})"
    told += f" in {record['seconds']:.2f} s -> {answer.out}"
    print(own_data.printable(f"{method.key}: {told}"))
    return 0


def _count(args: argparse.Namespace, n: int) -> int:
    if args.k is not None and args.k > n:
        raise StudyError(f"--k must lie in 1..{n}, got {args.k}")
    return args.k or max(1, round(args.keep * n))


def _from_arrays(
    args: argparse.Namespace, method: registry.Method, options: dict[str, Any], given: dict
) -> files.Answer:
    ways = registry.ways(method.key, options)
    if not given or not any(way <= given.keys() for way in ways):
        raise StudyError(f"{method.key} needs {_needs(ways)}")
    if not args.out:
        raise StudyError("--out is required with arrays: a folder, FILE.npy or FILE.csv")
    arrays, inputs = {"labels": None}, {}
    for name, source in given.items():
        arrays[name], inputs[name] = files.read(name, source)
    if "forgetting" in method.needs:
        arrays["forgetting"] = scores.forgetting_events(arrays["correct"])
    pool = registry.Pool(**arrays)
    record = _asked(args, method, options, _count(args, pool.n)) | {"inputs": inputs}
    paths = [Path(told["file"]) for told in inputs.values()]
    out = files.check_out(args.out, record, paths, args.force)
    start = time.perf_counter()
    rows, weights = registry.pick(method.key, pool, record["k"], args.seed, **options)
    read = next(way for way in ways if way <= given.keys())
    unread = [f"--{name}" for name in given if name not in read and (read or len(given) > 1)]
    facts = {
        "n": pool.n,
        "n_selected": len(rows),
        "order": "row numbers from 0, first to keep first",
        "warnings": [f"{method.key} does not read {', '.join(unread)}"] if unread else [],
        "seconds": round(time.perf_counter() - start, 4),
    }
    return files.Answer(out, rows, weights, record | facts)


def _asked(
    args: argparse.Namespace, method: registry.Method, options: dict[str, Any], k: int
) -> dict[str, Any]:
    defaults = {name: option.default for name, option in registry.options_of(method.key).items()}
    return {"method": method.key, "options": defaults | options, "seed": args.seed, "k": k}


def _loaded(args: argparse.Namespace) -> tuple[data.Dataset, str, list[str]]:
    try:
        name = own_data.absolute(args.data)
        dataset = data.load(data.with_option(name, "skip_broken") if args.skip_broken else name)
        if not dataset.class_names:
            raise StudyError(f"{dataset.name} has numbers, a proxy here learns classes")
        return dataset, *own_data.sources(dataset)
    except StudyError as error:
        raise StudyError(f"--data: {error}") from None


def _from_data(
    args: argparse.Namespace, method: registry.Method, options: dict[str, Any]
) -> files.Answer:
    dataset, column, places = _loaded(args)
    name = dataset.name
    k = _count(args, dataset.n)
    chosen = _chosen(args, options, dataset, k)
    asked = _asked(args, method, options, k)
    asked |= {"key": specs.key(chosen), "data": name, "fingerprint": dataset.fingerprint}
    out = args.out or _default_out(name, method.key, k)
    out = files.check_out(out, asked, [], args.force)
    args.data, args.keep, args.k, args.skip_broken = name, None, k, None
    n_test = len(dataset.test_labels)
    print(f"data: {own_data.printable(repr(dataset))}; the {n_test:,} only test the proxy")
    proxies = [f"{specs.describe(run)}, recipe {run.recipe}" for run in chosen.of]
    print(f"proxy: {'; '.join(proxies) or 'none, the method reads labels at most'}", flush=True)
    result, runs = own_data.results_of(chosen, dataset, args.device)
    for run in runs:
        right, seconds = run.metrics["test_acc"], run.metrics["seconds"]
        print(
            f"seed {run.spec.seed}: {right:.1%} of the test rows right, trained in {seconds:.1f} s"
        )
    rows = result.arrays["indices"].astype(np.int64)
    classes = own_data.per_class(dataset, rows)
    record = asked | {
        "n": dataset.n,
        "n_selected": len(rows),
        "order": "training rows from 0 as helpers.data.load gives them, first to keep first",
        "warnings": own_data.cautions(dataset, rows, runs),
        "notes": list(dataset.origin.notes),
        "broken": list(dataset.origin.broken),
        "seconds": result.metrics["seconds"],
        "per_class": classes[["class", "kept", "dropped"]].to_dict("records"),
        "proxies": [own_data.described(run) for run in runs],
        "command": _command(args),
    }
    title = f"{method.label}: {len(rows):,} of {dataset.n:,} rows kept"
    page = None if out.suffix else own_data.page(chosen, title, record["command"])
    kept = {column: [places[row] for row in rows]} if column else {}
    return files.Answer(out, rows, result.arrays.get("example_weights"), record, kept, page)


def _chosen(
    args: argparse.Namespace, options: dict[str, Any], dataset: data.Dataset, k: int
) -> specs.Select:
    proxy = (args.proxy, args.recipe, args.epochs, args.proxies or 1)
    chosen = own_data.choice(dataset, args.method, k, args.seed, *proxy, options)
    for run in chosen.of[:1]:
        config.check_model("--proxy", run.model)
        config.check_kind(dataset.name, "--proxy", run.model)
        config.check_kind(dataset.name, "--recipe", run.recipe)
    return chosen


def _default_out(name: str, method: str, k: int) -> str:
    base = Path(name.partition(":")[2] or name).name.partition("?")[0]
    base = unicodedata.normalize("NFC", re.sub(r"\.(parquet|csv)$", "", base))
    base = re.sub(r"[^\w-]+", "-", base).strip("-")
    return f"{base or 'data'}-{method}-{k}"


def _command(args: argparse.Namespace) -> str:
    words = files.MADE_BY.split()
    for name, value in vars(args).items():
        for one in value if isinstance(value, list) else [value]:
            words += [] if one is None or isinstance(one, bool) else [f"--{name}", str(one)]
    return shlex.join(words)
