"""Clipping: bounds on the gradient, applied after the backward pass or inside it."""

from bptt.remedies.clipping._clipper import Clipper as Clipper
from bptt.remedies.clipping._hook import Attachment as Attachment
from bptt.remedies.clipping._method import Clipped as Clipped
from bptt.remedies.clipping._method import Method as Method
from bptt.remedies.clipping._propose import Proposal as Proposal
from bptt.remedies.clipping._propose import propose as propose
