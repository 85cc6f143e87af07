"""Fixed colours, names and markers of methods, solvers and verdicts."""

from helpers.experiments.table import RUN_LABELS
from helpers.selection.registry import METHODS

# Okabe-Ito and Tol's muted sets, shared out so that methods drawn together differ in lightness too.
COLOURS = {
    "full": "#000000",
    "random": "#8c8c8c",
    "random-per-class": "#56657a",
    "random-longer": "#3f3f3f",
    "repeated-random": "#c44e52",
    "least-confidence": "#56b4e9",
    "margin": "#332288",
    "entropy": "#0072b2",
    "forgetting": "#cc79a7",
    "k-centers": "#009e73",
    "iqp": "#882255",
    "iqp-distance": "#117733",
    "el2n": "#4b7f2b",
    "ccs": "#b8860b",
    "facility-location": "#0f7b8a",
    "submodular": "#7a5195",
    "graph-cut": "#6b6b3a",
    "dpp": "#e0558b",
    "moderate": "#5d8aa8",
    "ssp": "#b5651d",
    "craig": "#3b4cc0",
    "grad-match": "#b40426",
    "geda": "#d55e00",
    "ids": "#e69f00",
    "adonis": "#aa4499",
    "ids+adonis": "#661100",
    "selective-backprop": "#44aa99",
    "random-per-quartile": "#999933",
    "evenly-spaced": "#c9b04e",
    "geda-random": "#cc6677",
    "highs": "#0072b2",
    "cbc": "#e69f00",
    "closed-form": "#009e73",
    "dpp-exact": "#b35900",
    "dpp-map": "#f29ac0",
    "submodular-lazy": "#b494cc",
    "iqp-matrix": "#7a2150",
    "iqp-blocks": "#0e7083",
    "iqp-fourier": "#a97a06",
}

LABELS = (
    {key: method.label for key, method in METHODS.items()}
    | RUN_LABELS
    | {
        "random-longer": "Random, trained longer",
        "own-batch": "Least confidence, own batch",
        "three-proxies": "Entropy, three proxies",
        "iqp-distance": "LP + power, distance",
        "highs": "As written, HiGHS",
        "cbc": "As written, CBC",
        "closed-form": "Closed form",
        "dpp-exact": "k-DPP, exact, ours",
        "dpp-map": "k-DPP, greedy MAP",
        "submodular-lazy": "Coverage + diversity, lazy",
        "iqp-matrix": "Matrix stored",
        "iqp-blocks": "Exact by tiles",
        "iqp-fourier": "Fourier features",
    }
)

MARKERS = {
    "random": "o",
    "random-longer": "8",
    "repeated-random": "s",
    "random-per-class": "s",
    "least-confidence": "v",
    "margin": "^",
    "entropy": "D",
    "forgetting": "P",
    "k-centers": "X",
    "iqp": "h",
    "el2n": "d",
    "ccs": "8",
    "facility-location": "H",
    "submodular": "s",
    "dpp": "o",
    "moderate": "v",
    "ssp": "^",
    "craig": "D",
    "grad-match": "P",
    "geda": "*",
    "ids": "<",
    "adonis": ">",
    "ids+adonis": "p",
    "highs": "P",
    "dpp-exact": "D",
    "dpp-map": "v",
    "submodular-lazy": "^",
}

VERDICT_COLOURS = {
    "holds": "#009e73",
    "does not hold": "#d55e00",
    "undecided": "#f0c14b",
    "not decidable at this scale": "#b4bcc6",
    "not measured yet": "#e9ebee",
}
