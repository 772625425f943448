"""Rules: one file a rule, from evidence to findings."""

from bptt.rules._evidence import Evidence as Evidence
from bptt.rules._evidence import Incident as Incident
from bptt.rules._evidence import Look as Look
from bptt.rules._evidence import Updates as Updates
from bptt.rules._evidence import Weights as Weights
from bptt.rules._pages import Page as Page
from bptt.rules._pages import UnknownRuleError as UnknownRuleError
from bptt.rules._pages import codes as codes
from bptt.rules._pages import page as page
from bptt.rules._pages import pages as pages
from bptt.rules._rule import SEVERITIES as SEVERITIES
from bptt.rules._rule import Finding as Finding
from bptt.rules._rule import Options as Options
from bptt.rules._rule import Prescription as Prescription
from bptt.rules._rule import Rule as Rule
from bptt.rules._rule import Severity as Severity
from bptt.rules._table import chosen as chosen
from bptt.rules._table import rule as rule
from bptt.rules._table import table as table
