"""Client side of model servers: HTTP, their capabilities, their answers."""
