// SPDX-License-Identifier: Apache-2.0
// An OpenID provider (npm oidc-provider) for the live tests: users, groups, refresh tokens, back-channel logout; and a
// way for the test to sign what a CI platform would, to lock a user out and to see what was asked for.
import fs from 'node:fs';
import http from 'node:http';
import https from 'node:https';
import Provider from 'oidc-provider';
import { SignJWT, importJWK } from 'jose';

const config = JSON.parse(process.env.CONFIG);
const locked = new Set();
const asked = [];
let idTokenLasts = 600; // seconds

const provider = new Provider(config.issuer, {
  jwks: { keys: config.keys },
  clients: config.clients,
  conformIdTokenClaims: false,
  claims: { openid: ['sub', 'groups', 'oid', 'email', 'sid'], profile: [], email: [] },
  scopes: ['openid', 'profile', 'email', 'offline_access'],
  issueRefreshToken: async () => true,
  rotateRefreshToken: true,
  pkce: { required: () => true, methods: ['S256'] },
  features: { backchannelLogout: { enabled: true }, rpInitiatedLogout: { enabled: true } },
  cookies: { keys: ['only for tests'] },
  ttl: { IdToken: () => idTokenLasts, AccessToken: 600, RefreshToken: 3600, Session: 3600, Grant: 3600, Interaction: 600 },
  enabledJWA: { idTokenSigningAlgValues: ['RS256', 'PS256', 'ES256', 'EdDSA'] },
  async findAccount(ctx, id) {
    if (locked.has(id)) return undefined;
    const user = config.users[id];
    return user && { accountId: id, claims: async () => ({ sub: id, ...user }) };
  },
  async loadExistingGrant(ctx) {
    const grant = new ctx.oidc.provider.Grant({ clientId: ctx.oidc.client.clientId, accountId: ctx.oidc.session.accountId });
    grant.addOIDCScope('openid profile email offline_access');
    await grant.save();
    return grant;
  },
});
provider.on('server_error', (ctx, error) => console.error(error));

async function body(req) {
  let text = '';
  for await (const piece of req) text += piece;
  return text === '' ? {} : JSON.parse(text);
}

async function control(req, res) {
  const key = config.keys[0];
  let answer = {};
  if (req.url === '/test/sign') {
    const { claims, kid } = await body(req);
    answer = { token: await new SignJWT(claims).setProtectedHeader({ alg: key.alg, kid: kid ?? key.kid, typ: 'JWT' }).sign(await importJWK(key, key.alg)) };
  } else if (req.url === '/test/lock') {
    locked.add((await body(req)).user);
  } else if (req.url === '/test/groups') {
    const { user, groups } = await body(req);
    config.users[user].groups = groups;
  } else if (req.url === '/test/ttl') {
    idTokenLasts = (await body(req)).seconds;
  } else if (req.url === '/test/asked') {
    answer = { asked };
  }
  res.setHeader('Content-Type', 'application/json');
  res.end(JSON.stringify(answer));
}

const handle = provider.callback();
const server = config.cert ? https : http;
server.createServer(config.cert ? { cert: fs.readFileSync(config.cert), key: fs.readFileSync(config.key) } : {}, (req, res) => {
  asked.push(`${req.method} ${req.url.split('?')[0]}`);
  return req.url.startsWith('/test/') ? control(req, res) : handle(req, res);
}).listen(config.port, '127.0.0.1', () => console.log('ready'));
