"""One file per command, imported when it is called; `ganlib.cli.group` lists them."""
