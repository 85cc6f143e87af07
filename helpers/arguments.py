"""Types of arguments that several commands of ``python -m helpers`` take."""

import argparse
import re


def device(text: str) -> str:
    """Read the name of a device."""
    if not re.fullmatch(r"auto|cpu|mps|cuda(:\d+)?", text):
        raise argparse.ArgumentTypeError(f"{text} is not one of auto, cpu, cuda, cuda:N, mps")
    return text
