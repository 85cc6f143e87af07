"""Thin helpers behind the notebooks: data, models, training, selection, results, figures."""


class StudyError(ValueError):
    """Something the user can put right; its text is one line naming what and how."""
