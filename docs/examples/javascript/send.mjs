// Puts one message on Sendoff's outbox.
//
//     npm ci
//     AZURE_STORAGE_CONNECTION_STRING=… node send.mjs ../order-4711.csv

import { readFile } from "node:fs/promises";
import { argv, env } from "node:process";

import { QueueServiceClient } from "@azure/storage-queue";

const file = await readFile(argv[2]);
const message = {
  id: "order-4711-confirmation",
  to: "Jörg Müller <joerg@example.com>",
  subject: "Your order 4711",
  text: "Thank you for your order. It is attached.",
  attachments: [
    {
      filename: "order-4711.csv",
      content_type: "text/csv",
      content: file.toString("base64"),
    },
  ],
};

// With an identity instead of a connection string (npm install @azure/identity):
//     new QueueServiceClient("https://<account>.queue.core.windows.net", new DefaultAzureCredential())
const storage = QueueServiceClient.fromConnectionString(env.AZURE_STORAGE_CONNECTION_STRING);

// Without messageTimeToLive: -1 Azure drops a message that nobody took within seven days.
await storage.getQueueClient("outbox").sendMessage(JSON.stringify(message), { messageTimeToLive: -1 });
