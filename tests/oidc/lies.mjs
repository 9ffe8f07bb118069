// What the provider says that isn't so, by the name of whoever signs in. It signs with its own key, so that nothing is wrong but the lie.
import { sign } from "node:crypto";

const encoded = (part) => Buffer.from(JSON.stringify(part)).toString("base64url");
const decoded = (part) => JSON.parse(Buffer.from(part, "base64url"));

// Middleware for the provider that lies in its answers to a code.
export const lies = (key) => {
  let nonce; // of the last sign-in that was told as it was
  return async (ctx, next) => {
    await next();
    if (ctx.oidc?.route !== "token" || !ctx.body?.id_token) return;
    const [head, claims] = ctx.body.id_token.split(".").slice(0, 2).map(decoded);
    const says = (lie) => {
      const text = `${encoded(head)}.${encoded({ ...claims, ...lie })}`;
      ctx.body.id_token = `${text}.${sign("sha256", Buffer.from(text), key).toString("base64url")}`;
    };
    switch (claims.sub) {
      // It tells of ann, to another site that she signs in at.
      case "subject of otto": return says({ sub: "subject of ann", aud: "another-site" });
      // It tells of ann, in answer to a sign-in that is over.
      case "subject of rita": return says({ sub: "subject of ann", nonce });
      // It goes away in the middle.
      case "subject of dora": return ctx.req.socket.destroy();
      default: nonce = claims.nonce;
    }
  };
};
