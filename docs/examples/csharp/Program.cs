// Puts one message on Sendoff's outbox.
//
//     AZURE_STORAGE_CONNECTION_STRING=… dotnet run ../order-4711.csv

using System.Text.Json;
using Azure.Storage.Queues;

byte[] file = await File.ReadAllBytesAsync(args[0]);
var message = new
{
    id = "order-4711-confirmation",
    to = "Jörg Müller <joerg@example.com>",
    subject = "Your order 4711",
    text = "Thank you for your order. It is attached.",
    attachments = new[]
    {
        new
        {
            filename = "order-4711.csv",
            content_type = "text/csv",
            content = Convert.ToBase64String(file),
        },
    },
};

// With an identity instead of a connection string (dotnet add package Azure.Identity):
//     new QueueClient(new Uri("https://<account>.queue.core.windows.net/outbox"), new DefaultAzureCredential())
string connectionString = Environment.GetEnvironmentVariable("AZURE_STORAGE_CONNECTION_STRING")
    ?? throw new InvalidOperationException("AZURE_STORAGE_CONNECTION_STRING is not set");
var outbox = new QueueClient(connectionString, "outbox");

// Without a timeToLive of -1 second Azure drops a message that nobody took within seven days.
await outbox.SendMessageAsync(JsonSerializer.Serialize(message), timeToLive: TimeSpan.FromSeconds(-1));
