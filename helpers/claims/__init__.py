"""The ledger of claims: what each document states, what we measured, and the verdict."""

from helpers.claims import printed  # noqa: F401 - it enters its tables
