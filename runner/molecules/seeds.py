"""Seeds of the structures that are made from SMILES, without loading what makes them."""

SEED = 20_260_101
"""The usual seed. Any number would do; it never changes, so that a SMILES has one geometry."""

LARGEST_SEED = 2**31 - 1
"""RDKit takes a signed integer of 32 bits, and makes a random seed of a negative one."""
