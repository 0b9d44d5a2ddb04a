"""A replicated table in a database: its columns, how they grow, and what can prevent it."""
