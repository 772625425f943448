"""`bptt sweep`: a grid of cells, initialisations and tasks, or of spectral radius and lag, on many processes."""

from bptt.cli._sweep._command import sweep as sweep
