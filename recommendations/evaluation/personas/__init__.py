"""How good the personas are: beliefs against simulated truth, sequences against simpler models, priors by what was bought."""
