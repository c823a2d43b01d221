"""The one blueprint of this app. Every module beside this one puts its functions on it.

Owns the object and the access rule: each HTTP function asks for a function key (locally no host does).
"""

import azure.durable_functions as df
import azure.functions as func

bp = df.Blueprint(http_auth_level=func.AuthLevel.FUNCTION)
