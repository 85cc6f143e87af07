"""What tests of data sets share: the refusal in one line, and what was guessed."""

import pytest

from helpers import StudyError
from helpers.data import load


def error_of(name, root):
    """The one line that loading a name raises."""
    with pytest.raises(StudyError) as caught:
        load(name, root)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def notes(dataset):
    """What was guessed or passed over, as it is told."""
    return "; ".join(dataset.origin.notes)
