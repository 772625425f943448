"""Imported by scripts that lie beside it."""
