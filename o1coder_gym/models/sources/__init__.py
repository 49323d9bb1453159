"""What models are made of: pinned files of weights, their conversion, adapters of this package."""
