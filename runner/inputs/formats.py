"""Formats of molecules that are read, without loading what reads them."""

FORMATS = ("smi", "csv", "tsv", "sdf", "mol", "xyz", "extxyz")
"""By the usual suffix of each."""

SUFFIXES = (".smi", ".smiles", ".csv", ".tsv", ".sdf", ".sd", ".mol", ".xyz", ".extxyz")
"""Each may be followed by .gz."""
