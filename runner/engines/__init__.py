"""Engines: tblite and xtb, optimisation, physical checks, failures."""
