"""The pure heart: values in, values out. No clock, no SQL, no asyncio, no user code."""
