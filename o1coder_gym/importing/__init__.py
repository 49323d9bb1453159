"""What is imported otherwise than by its name: earlier names, environments."""
