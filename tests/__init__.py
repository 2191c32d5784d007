"""The tests of heardback, and the programs that they play with."""
