// Serves npm's oidc-provider over TLS, as it comes: its own pages for signing in and consenting, its own memory.
// The argument names a JSON file: tls {key, cert}, accounts {id: claims}, and for each provider, by its name,
// clients and whatever else of the configuration is to differ. Prints one line of JSON, the issuer of each.
import { readFileSync } from "node:fs";
import { createServer } from "node:https";
import { createRequire } from "node:module";

// The packages lie in another folder than this file: the one that the process was started in.
const requires = createRequire(`${process.cwd()}/`);
const { Provider } = requires("oidc-provider");

const { tls, accounts, providers } = JSON.parse(readFileSync(process.argv[2], "utf8"));

const findAccount = (_, id) =>
  accounts[id] && { accountId: id, claims: async () => ({ sub: id, ...accounts[id] }) };

const serve = async (configuration) => {
  const server = createServer(tls);
  await new Promise((listening) => server.listen(0, "127.0.0.1", listening));
  const issuer = `https://localhost:${server.address().port}`;
  const provider = new Provider(issuer, {
    findAccount,
    scopes: ["openid", "offline_access", "mail.send", "mail.read"],
    claims: { openid: ["sub"], email: ["email"], profile: ["name", "picture"] },
    pkce: { required: () => true },
    rotateRefreshToken: true,
    features: { clientCredentials: { enabled: true }, devInteractions: { enabled: true } },
    cookies: { keys: ["of no account"] },
    ...configuration,
  });
  server.on("request", provider.callback());
  return issuer;
};

const issuers = {};
for (const [name, configuration] of Object.entries(providers)) {
  issuers[name] = await serve(configuration);
}
console.log(JSON.stringify({ issuers }));
