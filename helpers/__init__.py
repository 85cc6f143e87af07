"""Thin helpers behind the notebooks: data, models, training, selection, results, figures."""


class StudyError(ValueError):
    """Something the user can put right; its text is one line naming what and how.

    A notebook shows that line alone, without a traceback.
    """

    def _render_traceback_(self) -> list[str]:
        return [f"{type(self).__name__}: {self}"]
