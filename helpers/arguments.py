"""Types of arguments that several commands of ``python -m helpers`` take."""

import argparse
import re
from collections.abc import Callable
from fractions import Fraction


def device(text: str) -> str:
    """Read the name of a device."""
    if not re.fullmatch(r"auto|cpu|mps|cuda(:\d+)?", text):
        raise argparse.ArgumentTypeError(f"{text} is not one of auto, cpu, cuda, cuda:N, mps")
    return text


def whole(least: int) -> Callable[[str], int]:
    """Return what reads a whole number from `least` up."""

    def read(text: str) -> int:
        if not text.isdecimal() or int(text) < least:
            raise argparse.ArgumentTypeError(f"takes a whole number from {least} up, got {text}")
        return int(text)

    return read


def positive(text: str) -> float:
    """Read a number above 0."""
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"takes a number above 0, got {text}")
    return value


def share(text: str) -> Fraction:
    """Read a share in (0, 1] exactly as it is written: as a float, 0.35 * 10 misses its half."""
    try:
        value = Fraction(text)
    except (ValueError, ZeroDivisionError):
        value = Fraction(0)
    if not 0 < value <= 1:
        raise argparse.ArgumentTypeError(f"must lie in (0, 1], got {text}")
    return value
