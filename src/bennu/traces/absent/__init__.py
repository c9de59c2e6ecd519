"""What existing clients ask for and Bennu does not keep: datasets, prompts, experiments."""
