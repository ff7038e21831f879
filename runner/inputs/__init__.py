"""Readers of molecules: .smi, .csv, .sdf, .xyz, extended XYZ."""
