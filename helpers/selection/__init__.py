"""Selection methods: scores or features in, row numbers out; one module a method."""
