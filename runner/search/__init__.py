"""Search of molecules by structure: fingerprints screen in the database, RDKit confirms."""
