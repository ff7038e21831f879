"""Formats of datasets: one module each, with one writer."""

from quantum_forge.datasets.formats.choice import FORMATS, Format, Header, Writer, format_named

__all__ = ["FORMATS", "Format", "Header", "Writer", "format_named"]
