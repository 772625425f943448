"""The scripts of the suite are programs; importing them would run them."""

collect_ignore = ["scripts"]
