"""Imported by its neighbours."""

WORD = "part"
