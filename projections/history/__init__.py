"""The past of read models: as of a position, differences, lineage, verification."""
