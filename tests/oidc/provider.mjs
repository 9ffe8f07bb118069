// A real OpenID provider for the stories: oidc-provider, whose own pages take any name with any password. What it says of somebody
// follows from the name, and so does whether it is true.
//
//   node provider.mjs <port> <client id> <secret> <redirect URI>
import { generateKeyPairSync } from "node:crypto";
import Provider from "oidc-provider";
import { lies } from "./lies.mjs";

const [port, client_id, client_secret, ...redirect_uris] = process.argv.slice(2);
const { privateKey } = generateKeyPairSync("rsa", { modulusLength: 2048 });
const provider = new Provider(`http://127.0.0.1:${port}`, {
  clients: [{ client_id, client_secret, redirect_uris, grant_types: ["authorization_code"], response_types: ["code"] }],
  claims: { openid: ["sub"], email: ["email", "email_verified"], profile: ["preferred_username", "groups"] },
  // Most providers put these into the ID token, too.
  conformIdTokenClaims: false,
  cookies: { keys: ["the stories' own"] },
  findAccount: (_, id) => ({
    accountId: id,
    claims: () => ({
      sub: `subject of ${id}`,
      email: `${id}@uni.example.org`,
      email_verified: !id.startsWith("un"),
      preferred_username: id,
      groups: id === "staff" ? ["staff"] : [],
    }),
  }),
  jwks: { keys: [{ ...privateKey.export({ format: "jwk" }), kid: "own", alg: "RS256", use: "sig" }] },
  pkce: { required: () => true },
});
provider.use(lies(privateKey));
provider.listen(Number(port), "127.0.0.1", () => console.log("the provider listens"));
