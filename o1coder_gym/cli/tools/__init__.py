"""Commands around the judge, this machine, problem sets, models, and serving."""
