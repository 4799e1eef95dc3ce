"""The model server of tierproof: Triton, its model repository, and the engine behind it."""
