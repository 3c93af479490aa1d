// Nodemailer's pool as a contestant: reads questions, one line of JSON each, and answers with the seconds that
// its messages took, from the first one's call to the last one's acceptance, and those of them that the
// processor was busy.
import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { createInterface } from "node:readline";

// The packages lie in another folder than this file: the one that the process was started in.
const { createTransport } = createRequire(`${process.cwd()}/`)("nodemailer");

const facts = JSON.parse(process.argv[2]);
const transport = createTransport({
  host: "localhost",
  port: facts.port,
  name: "localhost",
  secure: false,
  requireTLS: true,
  tls: { ca: await readFile(facts.ca_file) },
  auth: { type: "OAuth2", user: facts.user, accessToken: facts.token },
  pool: true,
  maxConnections: facts.connections,
  // It would open a new connection after every hundred.
  maxMessages: Infinity,
});

const answer = async ({ message, messages, recipients }) => {
  const raw = await readFile(message);
  const envelope = { from: facts.user, to: recipients };
  const began = process.hrtime.bigint();
  const busy = process.cpuUsage();
  await Promise.all(Array.from({ length: messages }, () => transport.sendMail({ envelope, raw })));
  const { user, system } = process.cpuUsage(busy);
  return { seconds: Number(process.hrtime.bigint() - began) / 1e9, processor_seconds: (user + system) / 1e6 };
};

console.log("{}");
for await (const line of createInterface({ input: process.stdin })) {
  console.log(JSON.stringify(await answer(JSON.parse(line))));
}
transport.close();
