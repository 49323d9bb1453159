"""The parts of a tree search: the tree, selection, expansion, simulation, values of leaves."""
