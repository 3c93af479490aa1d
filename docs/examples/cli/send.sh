#!/bin/sh
# Puts one message on Sendoff's outbox, with the Azure CLI.
#
#     AZURE_STORAGE_CONNECTION_STRING=… ./send.sh ../order-4711.csv
set -eu

message=$(cat <<END
{
  "id": "order-4711-confirmation",
  "to": "Jörg Müller <joerg@example.com>",
  "subject": "Your order 4711",
  "text": "Thank you for your order. It is attached.",
  "attachments": [
    {
      "filename": "order-4711.csv",
      "content_type": "text/csv",
      "content": "$(base64 <"$1" | tr -d '\n')"
    }
  ]
}
END
)

# The CLI takes AZURE_STORAGE_CONNECTION_STRING by itself. With an identity instead: az login, and
# --account-name <account> --auth-mode login.
# Without --time-to-live -1 Azure drops a message that nobody took within seven days.
az storage message put --queue-name outbox --time-to-live -1 --content "$message" --output none
