"""The ledger of claims: what each document states, what we measured, and the verdict."""

# they enter their tables in `papers.TABLES`
from helpers.claims import printed_adonis, printed_bg, printed_slides  # noqa: F401
