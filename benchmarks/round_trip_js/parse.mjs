// Reads paths of messages, one a line, and answers each with a line of JSON: what mailparser makes of it.
import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { createInterface } from "node:readline";

// The packages lie in another folder than this file: the one that the process was started in.
const requires = createRequire(`${process.cwd()}/`);
const { simpleParser } = requires("mailparser");
const libmime = requires("libmime");

// Its extras are left out: they change what is read.
const OPTIONS = { skipHtmlToText: true, skipTextToHtml: true, skipImageLinks: true, skipTextLinks: true };

const people = (field) =>
  [field ?? []].flat().flatMap((list) =>
    list.value.flatMap((one) => (one.group ? one.group : [one])).map((one) => [one.name, one.address]),
  );

const words = (value) => [value ?? []].flat();

// mailparser decodes the fields it knows alone; the others are decoded by its own libmime, as its users do.
const fields = (parsed) => {
  const found = {};
  for (const { key, line } of parsed.headerLines) {
    const value = line.slice(line.indexOf(":") + 1).replace(/\r?\n(?=[ \t])/g, "");
    (found[key] ??= []).push(libmime.decodeWords(value.trim()));
  }
  return found;
};

for await (const path of createInterface({ input: process.stdin })) {
  const parsed = await simpleParser(await readFile(path), OPTIONS);
  const reading = {
    sender: people(parsed.from),
    to: people(parsed.to),
    cc: people(parsed.cc),
    reply_to: people(parsed.replyTo),
    subject: parsed.subject ?? "",
    text: parsed.text ?? null,
    html: parsed.html || null,
    files: parsed.attachments.map((file) => ({
      filename: file.filename ?? "",
      content_id: file.cid ?? "",
      inline: file.contentDisposition === "inline",
      // contentType is a guess by the file's name where the message says application/octet-stream.
      media_type: file.headers.get("content-type").value.toLowerCase(),
      size: file.content.length,
      sha256: createHash("sha256").update(file.content).digest("hex"),
    })),
    message_id: parsed.messageId ?? "",
    in_reply_to: words(parsed.inReplyTo),
    references: words(parsed.references),
    headers: fields(parsed),
  };
  process.stdout.write(`${JSON.stringify(reading)}\n`);
}
