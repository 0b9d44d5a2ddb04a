"""Users' own queries: their text, their answers and their errors."""
