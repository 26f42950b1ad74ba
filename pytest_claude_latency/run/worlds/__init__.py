"""Other worlds of one test: it runs again inside its item, with other times."""
