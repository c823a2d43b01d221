"""The functions of the conformance app, one module a theme."""
