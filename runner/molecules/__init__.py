"""Molecules: identity, geometry, connectivity, spin, conformers."""
