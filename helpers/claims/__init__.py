"""The ledger of claims: what each document states, what we measured, and the verdict."""
