"""Search agents and the driver that runs them."""
