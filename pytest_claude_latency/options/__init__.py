"""Options: what the plugin can be asked for, on the command line and in the ini file."""
