"""What the Functions host loads: the app, with the blueprint registered on it. No triggers, no logic."""

import azure.durable_functions as df

from fan_out import bp

app = df.DFApp()
app.register_functions(bp)
