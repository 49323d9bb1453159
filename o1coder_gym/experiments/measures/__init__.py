"""What runs are measured by: ASPR, held-out problems, named results beside their stored figures."""
