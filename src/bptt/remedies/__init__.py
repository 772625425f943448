"""Remedies: one file a remedy, each applied in one line and undone bit for bit."""

from bptt.remedies._change import Change as Change
from bptt.remedies._table import KINDS as KINDS
from bptt.remedies._table import Remedy as Remedy
from bptt.remedies._table import remedy as remedy
from bptt.remedies._table import table as table
from bptt.remedies._target import Layer as Layer
from bptt.remedies._target import RemedyError as RemedyError
from bptt.remedies._target import Target as Target
from bptt.remedies.initialisation.bound_bias import bound_bias as bound_bias
from bptt.remedies.initialisation.chrono import chrono as chrono
from bptt.remedies.initialisation.forget_bias import forget_bias as forget_bias
from bptt.remedies.initialisation.identity_relu import identity_relu as identity_relu
from bptt.remedies.initialisation.orthogonal import orthogonal as orthogonal
from bptt.remedies.initialisation.spectral_radius import spectral_radius as spectral_radius
