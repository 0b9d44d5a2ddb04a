"""A table's rules, applied to its items before anything of them is stored."""
