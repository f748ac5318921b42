"""Testing whatever runs a workflow."""
from trioflow.testing.model import *
