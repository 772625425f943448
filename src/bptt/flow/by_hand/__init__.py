"""Recurrences written by hand, found in the autograd graph without any declaration."""
