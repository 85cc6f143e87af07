"""Selection methods: scores or features in, row numbers out; one module a method.

Every module here is imported at once, so that one file with a function under
`registry.method` is all that a new method takes.

What holds everywhere: k is the number of rows to keep, 1 <= k <= n; features and gradients are
finite, shape (n, d), labels class numbers of two classes at least, shape (n,), rng a seed or a
generator; row numbers are int64, shape (k,). An invalid argument raises StudyError, a ValueError,
that names it.
"""

from helpers.selection import registry

registry.discover(__path__, __name__)
