"""Selection methods: scores or features in, row numbers out; one module a method.

Every module here is imported at once, so that one file with a function under
`registry.method` is all that a new method takes.
"""

from helpers.selection import registry

registry.discover(__path__, __name__)
