"""What a forward pass of a training is made of: shared prefixes, the order of rows, the projection."""
