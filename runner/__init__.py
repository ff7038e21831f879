"""xTB calculations: structures by RDKit, energies by tblite or xtb, every step recorded."""
