"""HTTP: where requests of the program are met, recorded and answered."""
