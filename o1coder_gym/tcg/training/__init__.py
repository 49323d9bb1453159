"""Training of test generators: data set, exchanged outputs, SFT and DPO."""
