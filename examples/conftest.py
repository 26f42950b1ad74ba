"""The application lies beside this file, so pytest can import it without an installation."""
