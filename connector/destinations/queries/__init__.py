"""Users' own queries: their text, their answers and what is wrong with them."""
