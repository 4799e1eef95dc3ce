"""A local RFC 3161 time-stamp authority: says when bytes existed, in a form that strangers verify."""
