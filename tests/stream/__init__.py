"""The stream under every topology and every fault, in virtual time, with one checker for all."""
