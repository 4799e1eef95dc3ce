"""A witness of transparency logs (c2sp.org/tlog-witness): what it has cosigned, it never forgets and never contradicts."""
