"""The published language of tierproof: what services say to each other, and nothing else."""
