# noqa: INP001 - a program of its own, not a package
"""
Puts one message on Sendoff's outbox.

    pip install -r requirements.txt
    AZURE_STORAGE_CONNECTION_STRING=… python send.py ../order-4711.csv

With an identity instead of a connection string (pip install azure-identity):

    QueueClient("https://<account>.queue.core.windows.net", "outbox", credential=DefaultAzureCredential())
"""

import base64
import json
import os
import sys
from pathlib import Path

from azure.storage.queue import QueueClient

file = Path(sys.argv[1])
message = {
    "id": "order-4711-confirmation",
    "to": "Jörg Müller <joerg@example.com>",
    "subject": "Your order 4711",
    "text": "Thank you for your order. It is attached.",
    "attachments": [
        {
            "filename": "order-4711.csv",
            "content_type": "text/csv",
            "content": base64.b64encode(file.read_bytes()).decode(),
        }
    ],
}

with QueueClient.from_connection_string(os.environ["AZURE_STORAGE_CONNECTION_STRING"], "outbox") as outbox:
    # Without time_to_live=-1 Azure drops a message that nobody took within seven days.
    outbox.send_message(json.dumps(message), time_to_live=-1)
