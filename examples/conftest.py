"""Makes pytest put this folder on `sys.path`, so that tests import the application without an installation."""
