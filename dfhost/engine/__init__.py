"""The engine core, free of side effects: values in, values out. No clock, no SQL, no asyncio, no user code.

"(recorded)" in a comment means: seen in a recording of Microsoft's host (`tests/conformance/`).
"""
