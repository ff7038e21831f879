"""xTB calculations: structures by RDKit, energies by tblite, every step recorded."""
