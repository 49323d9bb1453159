"""Trainings and their measurements: policies, the choice among proposals, reward models, test generators."""
