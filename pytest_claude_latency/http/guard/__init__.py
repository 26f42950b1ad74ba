"""The guard: no connection to a Claude API stays unseen, whichever library of this process opens it."""
