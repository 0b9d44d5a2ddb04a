"""Measurements of the whole program against what the machine can do; `make bench` runs them."""
