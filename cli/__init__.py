"""The command's package is :mod:`greenfork` since 0.2; this one only says so."""

raise ImportError("the package `cli` is now `greenfork`: use `python -m greenfork`")
