"""Gene expression with and without dexamethasone."""
