"""The engine core, free of side effects: values in, values out. No clock, no SQL, no asyncio, no user code."""
