"""One module per kind of check: pure functions of the answer and its named inputs, and for C a compiler in the sandbox."""
