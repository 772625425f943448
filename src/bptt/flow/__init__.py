"""Gradient flow through time: the probe, and what it measures."""

from bptt.flow._by_site import BySite as BySite
from bptt.flow._files import load_flow as load_flow
from bptt.flow._flow import Flow as Flow
from bptt.flow._flow import Note as Note
from bptt.flow._flow import Site as Site
from bptt.flow._probe import measure as measure
from bptt.flow._probe import probe as probe
from bptt.flow._recorder import Recorder as Recorder
from bptt.flow.explain._attribution import Attribution as Attribution
from bptt.flow.explain._exponents import Exponents as Exponents
from bptt.flow.explain._lyapunov import lyapunov as lyapunov
from bptt.flow.explain._spectrum import SiteSpectrum as SiteSpectrum
from bptt.flow.explain._spectrum import spectrum as spectrum
from bptt.flow.explain._theory import Theory as Theory
