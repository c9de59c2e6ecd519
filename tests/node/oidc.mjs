// An OpenID-certified provider as a peer of the tests: node oidc.mjs
// Two issuers in one process: the first puts claims into the ID token, the second into userinfo only.
// Clients are made by dynamic registration, people by PUT /test/accounts/NAME with their claims.
// Prints one line of JSON when it is ready; ends when its standard input does.
import crypto from 'node:crypto';
import http from 'node:http';
import { Provider } from 'oidc-provider';

const signingKey = (type, options, alg) => {
  const { privateKey } = crypto.generateKeyPairSync(type, options);
  return { ...privateKey.export({ format: 'jwk' }), alg, use: 'sig', kid: `${alg}-${crypto.randomUUID()}` };
};

const accounts = new Map();
const asked = { keys: 0, backchannel: [] };

const configuration = (claimsInIdToken) => ({
  jwks: {
    keys: [
      signingKey('rsa', { modulusLength: 2048 }, 'RS256'),
      signingKey('rsa', { modulusLength: 2048 }, 'PS256'),
      signingKey('ec', { namedCurve: 'P-256' }, 'ES256'),
      signingKey('ed25519', {}, 'Ed25519'),
    ],
  },
  async findAccount(ctx, id) {
    const claims = accounts.get(id);
    return claims && { accountId: id, claims: async () => ({ sub: id, ...claims }) };
  },
  claims: {
    openid: ['sub', 'groups', 'roles', 'role', 'cognito:groups', 'resource_access'],
    email: ['email', 'email_verified'],
    profile: ['name', 'preferred_username', 'picture'],
  },
  conformIdTokenClaims: !claimsInIdToken,
  scopes: ['openid', 'offline_access', 'email', 'profile', 'User.Read'],
  clientAuthMethods: ['client_secret_basic', 'client_secret_post', 'private_key_jwt', 'none'],
  clientDefaults: { grant_types: ['authorization_code'], response_types: ['code'] },
  pkce: { required: (ctx, client) => client.tokenEndpointAuthMethod === 'none' || client.clientName === 'pkce' },
  features: {
    devInteractions: { enabled: true },
    backchannelLogout: { enabled: true },
    rpInitiatedLogout: { enabled: true },
    registration: { enabled: true },
    userinfo: { enabled: true },
  },
  enabledJWA: { idTokenSigningAlgValues: ['RS256', 'PS256', 'ES256', 'Ed25519', 'HS256'] },
  ttl: { AccessToken: 600, IdToken: 600, Session: 3600, Grant: 3600, Interaction: 600 },
  // The provider refuses to call loopback addresses, where Bennu listens in the tests.
  fetch: (url, options) => globalThis.fetch(url, { ...options, dispatcher: undefined }),
  cookies: { keys: ['a key of the tests'] },
});

const listening = (server) => new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));

const read = async (request) => {
  const parts = [];
  for await (const part of request) parts.push(part);
  return JSON.parse(Buffer.concat(parts).toString());
};

const start = async (claimsInIdToken) => {
  const server = http.createServer();
  await listening(server);
  const issuer = `http://localhost:${server.address().port}`;
  const provider = new Provider(issuer, configuration(claimsInIdToken));
  provider.on('server_error', (ctx, error) => console.error(error));
  provider.on('backchannel.success', (ctx, client) => asked.backchannel.push(client.clientId));
  provider.on('backchannel.error', (ctx, error) => console.error('backchannel', error.message));
  const answer = provider.callback();
  server.on('request', async (request, response) => {
    if (request.url.startsWith('/test/accounts/')) {
      accounts.set(decodeURIComponent(request.url.slice('/test/accounts/'.length)), await read(request));
      response.writeHead(204).end();
    } else if (request.url === '/test/asked') {
      response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(asked));
    } else {
      if (request.url === '/jwks') asked.keys += 1;
      answer(request, response);
    }
  });
  return issuer;
};

const issuers = [await start(true), await start(false)];
console.log(JSON.stringify({ issuers }));
process.stdin.on('end', () => process.exit(0)).resume();
