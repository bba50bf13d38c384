"""The same for an app without an event loop (Flask, Django, a script).

Run it with the settings of your servers in the environment or in `.env.local`: `python examples/blocking.py`.
"""

import chatstore

with chatstore.open_blocking() as stores:
    session = stores.chat.create_session("ann", title="An order")
    stores.chat.append("ann", session.id, chatstore.NewMessage("user", "Where is my order?"))
    print([message.content for message in stores.chat.messages("ann", session.id)])
