// Puts one message on Sendoff's outbox.
//
//     AZURE_STORAGE_CONNECTION_STRING=… mvn -q compile exec:java -Dexec.args=../order-4711.csv

import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Base64;
import java.util.List;
import java.util.Map;

import com.azure.core.util.Context;
import com.azure.storage.queue.QueueClient;
import com.azure.storage.queue.QueueClientBuilder;
import com.fasterxml.jackson.databind.ObjectMapper;

public final class SendMail {
    public static void main(String[] arguments) throws Exception {
        byte[] file = Files.readAllBytes(Path.of(arguments[0]));
        Map<String, Object> message = Map.of(
            "id", "order-4711-confirmation",
            "to", "Jörg Müller <joerg@example.com>",
            "subject", "Your order 4711",
            "text", "Thank you for your order. It is attached.",
            "attachments", List.of(
                Map.of(
                    "filename", "order-4711.csv",
                    "content_type", "text/csv",
                    "content", Base64.getEncoder().encodeToString(file))));

        // With an identity instead of a connection string (azure-identity):
        //     .endpoint("https://<account>.queue.core.windows.net")
        //     .credential(new DefaultAzureCredentialBuilder().build())
        QueueClient outbox = new QueueClientBuilder()
            .connectionString(System.getenv("AZURE_STORAGE_CONNECTION_STRING"))
            .queueName("outbox")
            .buildClient();

        // Without a time to live of -1 second Azure drops a message that nobody took within seven days.
        outbox.sendMessageWithResponse(
            new ObjectMapper().writeValueAsString(message), null, Duration.ofSeconds(-1), null, Context.NONE);
    }
}
